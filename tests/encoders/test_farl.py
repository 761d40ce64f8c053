"""FaRL's files, written as they are published: a CLIP's state dict among the head of its masked pictures."""

import json

import numpy as np
import open_clip
import pytest
import torch
from expclip.cli import app
from expclip.encoders.conversion import convert
from expclip.encoders.weights_card import card_of
from expclip.errors import ExpclipError
from lab import Lab
from safetensors.torch import load_file
from tiny_farl import MASKED, TINY, tiny_clip, write_farl
from typer.testing import CliRunner


@pytest.fixture(scope="module")
def clip() -> open_clip.CLIP:
    return tiny_clip()


@pytest.fixture
def published(clip, tmp_path):
    """Writes such a file; tensors may be added, changed or left out (None)."""

    def write(prefix: str = "", half: bool = False, **changes):
        write_farl(clip, tmp_path / "FaRL-ep16.pth", prefix, half, **changes)
        return tmp_path / "FaRL-ep16.pth"

    return write


@pytest.fixture
def architectures(monkeypatch):
    """What open_clip would call models of this size."""
    for name, quick in (("tiny", False), ("tiny-quickgelu", True)):
        monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, name, TINY | {"quick_gelu": quick})


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("half", [False, True])
def test_the_clip_is_taken_and_the_head_of_masked_pictures_is_left_out(clip, published, prefix, half):
    made = convert("farl", published(prefix, half))
    found, expected = load_file(made.path), clip.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name].to(found[name].dtype)) for name in expected)
    assert set(MASKED) <= set(made.left_out)
    card = card_of(made.path)
    assert card is not None
    assert (card.system, card.quick_gelu) == ("farl", "yes")


def test_its_embeddings_are_those_of_the_library_with_quick_gelu(clip, published, architectures, lab, labelled):
    """And others without it."""
    file = convert("farl", published()).path
    name = f"tiny-quickgelu@{file}"
    lab.extract(labelled, clip=name, protocol="released")
    found = lab.cache.find("labelled", "clip_image")[0].read().astype(np.float32)
    pixels = torch.from_numpy(_squashed(labelled))
    with torch.inference_mode():
        expected = clip.encode_image(pixels).numpy()
        other = open_clip.CLIP(**TINY | {"quick_gelu": False})
        other.load_state_dict(clip.state_dict())
        wrong = other.eval().encode_image(pixels).numpy()
    assert np.abs(found - expected).max() <= 1e-3 * np.abs(expected).max(), "as far as float16 keeps it"
    assert np.abs(wrong - expected).max() > 1e-2 * np.abs(expected).max()
    assert lab.evaluate(labelled, clip=name, prompts="P-1", protocol="released").scores


def _squashed(folder) -> np.ndarray:
    """(n, 3, 64, 64) in 0 … 1, as the released protocol has it, in the order of the data set."""
    from PIL import Image

    files = sorted(folder.rglob("*.png"), key=lambda file: file.relative_to(folder).as_posix())
    pictures = [np.asarray(Image.open(file).resize((64, 64), Image.Resampling.BILINEAR)) for file in files]
    return (np.stack(pictures).transpose(0, 3, 1, 2) / 255).astype(np.float32)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"text_projection": None}, "it lacks text_projection"),
        ({"ln_final.bias": None}, r"it lacks 'ln_final\.bias'"),
        ({"visual.decoder.weight": torch.ones(3)}, r"it has too 'visual\.decoder\.weight'"),
        ({"visual.ln_post.weight": torch.ones(32)}, r"another shape has 'visual\.ln_post\.weight'"),
        ({"visual.positional_embedding": torch.ones(6, 64)}, "another shape has|no CLIP has such sizes"),
        ({"positional_embedding": torch.ones(7)}, "its tensors have shapes that no CLIP has"),
    ],
)
def test_what_is_no_whole_clip_is_refused(published, changes, why):
    with pytest.raises(ExpclipError, match=f"is none of farl's files \\({why}"):
        convert("farl", published(**changes))


def test_the_command_says_what_to_type(published, architectures):
    file = published()
    done = CliRunner().invoke(app, ["weights", "convert", "farl", str(file), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["names"] == [f"tiny-quickgelu@{file.with_suffix('.safetensors')}"]
    assert "left out, since they are no weights of its CLIP" in done.stderr


def test_another_activation_is_refused_by_name(published, architectures, lab, labelled):
    file = convert("farl", published()).path
    with pytest.raises(ExpclipError, match=r"were trained with QuickGELU.*write tiny-quickgelu@"):
        Lab(lab.cache.root).extract(labelled, clip=f"tiny@{file}")
