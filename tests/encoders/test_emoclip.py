"""EmoCLIP's files in both published layouts: one form, its frames, its clip head, its texts, and what is refused."""

from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from expclip.encoders.conversion import convert
from expclip.encoders.emoclip import CODE, emoclip_nodes
from expclip.encoders.families import Models
from expclip.encoders.hashes import Hashes
from expclip.encoders.weights_card import card_of
from expclip.errors import ExpclipError, UsageError
from expclip.heads.temporal import clip_embeddings
from open_clip import SimpleTokenizer
from safetensors.torch import load_file
from tiny_emoclip import TINY, clips_by_hand, see, tensors, tiny_openai, write_emoclip

LAYOUTS = ("whole", "downstream")
TEXTS = ["a photo of a happy face.", "sad"]


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """The file that is made of either layout."""
    folder = tmp_path_factory.mktemp("emoclip")
    return {one: convert("emoclip", write_emoclip(folder / f"{one}.pth", tensors(one))).path for one in LAYOUTS}


@pytest.fixture
def pictures() -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (12, 64, 64, 3), dtype=np.uint8)


@pytest.fixture
def plain(monkeypatch, tmp_path) -> str:
    """Plain CLIP, whose texts are read where a file has no text tower."""
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-quickgelu", TINY | {"quick_gelu": True})
    torch.save(tiny_openai().state_dict(), tmp_path / "plain.pt")
    monkeypatch.setattr(emoclip_nodes, "PLAIN", f"tiny-quickgelu@{tmp_path / 'plain.pt'}")
    return emoclip_nodes.PLAIN


def node(file: Path | str, kind: str = "clip_image"):
    return Models(asked_device="cpu").node(kind, f"emoclip@{file}", "native", "float32")


def head_of(file: Path | str):
    own = CODE.clip_head
    assert own is not None
    return own.weights(CODE.find(f"emoclip@{file}", Hashes()))


def test_both_layouts_become_one_form(converted):
    whole, downstream = (load_file(converted[one]) for one in LAYOUTS)
    shared = {name for name in whole if name.startswith(("visual.", "clip_head."))}
    assert downstream.keys() == shared
    assert all(torch.equal(whole[name], downstream[name]) for name in shared)
    assert {name for name in whole if not name.startswith("clip_head.")} == tiny_openai().state_dict().keys()
    assert whole["logit_scale"] == 4, "its own, not that of the CLIP within"
    card = card_of(converted["downstream"])
    assert card is not None
    assert (card.system, card.quick_gelu) == ("emoclip", "yes")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("length", [1, 4, 12])
def test_frames_and_then_the_clip_head_are_the_whole_model(converted, pictures, layout, length):
    frames = node(converted[layout]).load("cpu")(pictures)
    expected = see(pictures)
    np.testing.assert_allclose(frames, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    found = clip_embeddings(head_of(converted[layout]), torch.from_numpy(frames).reshape(-1, length, 16))
    joint = clips_by_hand(expected.reshape(-1, length, 16))
    np.testing.assert_allclose(found.numpy(), joint, rtol=0, atol=1e-4 * np.abs(joint).max())


def test_texts_are_read_by_the_files_own_tower_where_it_has_one(converted):
    with torch.inference_mode():
        expected = tiny_openai().encode_text(SimpleTokenizer()(TEXTS)).numpy()
    np.testing.assert_allclose(node(converted["whole"], "clip_text").load("cpu")(TEXTS), expected, rtol=0, atol=1e-4)


def test_and_by_plain_clips_where_it_has_none_which_the_spec_says(converted, plain, capsys):
    said: list[str] = []
    models = Models(asked_device="cpu", tell=lambda model, remark: said.append(remark))
    text = models.node("clip_text", f"emoclip@{converted['downstream']}", "native", "float32")
    with torch.inference_mode():
        expected = tiny_openai().encode_text(SimpleTokenizer()(TEXTS)).numpy()
    np.testing.assert_allclose(text.load("cpu")(TEXTS), expected, rtol=0, atol=1e-4)
    assert text.spec["texts_by"]["weights"] == {"sha256": Hashes().sha256(Path(plain.partition("@")[2]))}
    image = node(converted["downstream"])
    assert [text.spec[part] == image.spec[part] for part in ("architecture", "weights")] == [True, True]
    assert text.reads is not None
    assert [one.is_cut for one in text.reads(TEXTS)] == [False, False]
    assert said == ["its file has no text tower, so texts are read by plain CLIP's"]
    needed = CODE.files(f"emoclip@{converted['downstream']}", False)
    assert [one.names for one in needed.every] == [("downstream.safetensors",), ("plain.pt",)]
    assert CODE.files(f"emoclip@{converted['whole']}", False).others == ()


def test_plain_clips_texts_of_another_width_are_refused(converted, plain, monkeypatch):
    monkeypatch.setattr(emoclip_nodes, "PLAIN", "ViT-B-32@random")
    with pytest.raises(ExpclipError, match="its images have 16 numbers, and plain CLIP's texts 512"):
        node(converted["downstream"], "clip_text")


def test_its_own_pixels_are_clips(converted):
    transform = node("random").spec["transform"]
    assert (transform["size"], transform["resize"]) == (224, "bicubic shortest edge, centre crop (Pillow)")
    assert transform["mean_std"][0] == [0.48145466, 0.4578275, 0.40821073]


def test_the_real_sizes_have_the_published_number_of_parameters():
    assert sum(value.numel() for value in head_of("random").values()) == 68_689_408


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"temporal.cls_token": None}, r"it lacks 'temporal\.cls_token'"),
        (
            {"temporal.temporal_transformer.layers.1.1.fn.fn.net.3.bias": None},
            r"it lacks 'temporal\.temporal_transformer\.layers\.1\.1\.fn\.fn\.net\.3\.bias'",
        ),
        ({"temporal.pos_embedding": torch.ones(1, 17, 16)}, r"another shape has 'temporal\.pos_embedding'"),
        ({"temporal.temporal_transformer.layers.0.0.fn.fn.to_k.weight": torch.ones(3)}, "it has too 'temporal"),
        ({"decoder.weight": torch.ones(3)}, r"it has too 'decoder\.weight'"),
    ],
)
def test_what_is_not_its_file_is_refused_by_name(tmp_path, layout, changes, why):
    with pytest.raises(ExpclipError, match=f"is none of emoclip's files \\({why}") as caught:
        convert("emoclip", write_emoclip(tmp_path / "best.pth", tensors(layout, **changes)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("layout", "name"), [("whole", "visual.proj"), ("downstream", "proj"), ("whole", "ln_final.bias")]
)
def test_a_backbone_that_lacks_a_tensor_is_refused_by_the_name_that_the_file_has_for_it(tmp_path, layout, name):
    with pytest.raises(ExpclipError, match=rf"it lacks 'backbone\.{name}'"):
        convert("emoclip", write_emoclip(tmp_path / "best.pth", tensors(layout, **{f"backbone.{name}": None})))


def test_a_foreign_class_is_refused_by_name(tmp_path):
    torch.save({"state_dict": tensors("whole"), "best": Path("best")}, tmp_path / "best.pth")
    with pytest.raises(ExpclipError, match=r"it names 'pathlib\.PosixPath', which no file of this system does"):
        convert("emoclip", tmp_path / "best.pth")


def test_without_a_file_it_says_where_the_weights_are():
    with pytest.raises(UsageError, match=r"github\.com/NickyFot/EmoCLIP, run `expclip weights convert emoclip FILE`"):
        Models(asked_device="cpu").node("clip_image", "emoclip")
