"""The training script in a few steps: it writes the real formats, and its miniature is used like the shipped one."""

import json

import numpy as np
import pytest
from expclip.encoders.models import Models
from expclip.training.__main__ import make


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("training") / "miniature"
    folder.mkdir()
    (folder / "old").touch()
    make(folder, seed=3, divide=400)
    return folder


def test_it_replaces_the_folder_and_leaves_nothing_beside_it(made):
    assert [path.name for path in made.parent.iterdir()] == ["miniature"]
    assert sorted(path.name for path in made.iterdir()) == ["card.json", "clip", "teacher"]


def test_its_models_load_as_the_real_ones_do(made, pixels):
    models = Models(asked_device="cpu")
    e_q = models.query_tokens(str(made / "teacher")).load("cpu")(pixels)
    features = [
        models.clip_image(f"local-dir:{made / 'clip'}").load("cpu")(pixels),
        models.clip_text(f"local-dir:{made / 'clip'}").load("cpu")(["happiness.", "an expression of fear."]),
        models.llm(str(made / "teacher"), "related-1").load("cpu")(e_q),
    ]
    assert all(np.isfinite(one).all() for one in features)


def test_its_card_names_its_seed_steps_losses_and_scores(made):
    card = json.loads((made / "card.json").read_text(encoding="utf-8"))
    assert card["seed"] == 3
    assert card["steps"]["divided by"] == 400
    assert set(card["losses"]) == {"clip", "teacher"}
    assert len(card["evaluation"]["related-1"]) == 3
