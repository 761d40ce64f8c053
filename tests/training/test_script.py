"""The training script in a few steps: it writes the real formats, and its miniature is used like the shipped one."""

import json

import numpy as np
import open_clip
import pytest
import torch
from expclip.encoders.families import Models
from expclip.training import train_clip
from expclip.training.__main__ import make
from expclip.training.tokenizer import EOS, PAD


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
    e_q = models.node("query_tokens", str(made / "teacher")).load("cpu")(pixels)
    features = [
        models.node("clip_image", f"local-dir:{made / 'clip'}").load("cpu")(pixels),
        models.node("clip_text", f"local-dir:{made / 'clip'}").load("cpu")(["happiness.", "an expression of fear."]),
        models.node("llm", str(made / "teacher"), instruction_name="related-1").load("cpu")(e_q),
    ]
    assert all(np.isfinite(one).all() for one in features)


def test_its_card_names_its_seed_steps_losses_and_scores(made):
    card = json.loads((made / "card.json").read_text(encoding="utf-8"))
    assert card["seed"] == 3
    assert card["steps"]["divided by"] == 400
    assert set(card["losses"]) == {"clip", "teacher"}
    assert len(card["evaluation"]["related-1"]) == 3


def test_what_texts_share_is_written_into_the_tower_and_changes_nothing_else_of_them():
    torch.manual_seed(0)
    model = open_clip.CLIP(**train_clip.clip_config(300)).eval()
    torch.nn.init.normal_(model.ln_final.weight, 1.0, 0.1)
    torch.nn.init.normal_(model.ln_final.bias, 0.0, 0.2)
    ids = torch.randint(10, 300, (64, 12))
    ids = torch.nn.functional.pad(torch.cat([ids, torch.full((64, 1), EOS)], dim=1), (0, 27), value=PAD)
    shared = torch.nn.functional.normalize(torch.randn(128), dim=0)
    with torch.no_grad():
        before = model.encode_text(ids)
        own = before - torch.outer(before @ shared, shared)
        train_clip._move_texts(model, shared, ids)
        after = model.encode_text(ids)
    torch.testing.assert_close(after, own + 0.5 * own.norm(dim=1).mean() * shared, atol=1e-4, rtol=1e-4)
