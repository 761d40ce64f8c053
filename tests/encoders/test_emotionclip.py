"""EmotionCLIP's file, written as it is published: one frame, its texts, its clip head, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from expclip.cli import app
from expclip.encoders.clip_files.layout import clip_shapes
from expclip.encoders.conversion import convert
from expclip.encoders.dtypes import PartDTypes
from expclip.encoders.emotionclip import CODE, emotionclip_nodes
from expclip.encoders.emotionclip.eight_frames import clip_embeddings
from expclip.encoders.families import How, Models, family_of, usual_protocol
from expclip.encoders.hashes import Hashes
from expclip.encoders.weights_card import card_of
from expclip.errors import ExpclipError, UsageError
from expclip.manifests.protocols import PROTOCOLS
from open_clip import SimpleTokenizer
from safetensors.torch import load_file
from tiny_emotionclip import clip_by_hand, frames_by_hand, tensors, tiny_clip, tiny_head, write_emotionclip
from typer.testing import CliRunner

TEXTS = ["a photo of a happy face.", "sad", "a face " * 20]


class Foreign:
    """What no such file holds."""


@pytest.fixture(scope="module")
def clip():
    return tiny_clip()


@pytest.fixture(scope="module")
def head():
    return tiny_head()


@pytest.fixture(scope="module")
def converted(clip, head, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("emotionclip")
    return convert("emotionclip", write_emotionclip(folder / "latest.pt", tensors(clip, head))).path


@pytest.fixture
def pictures() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (8, 64, 64, 3), dtype=np.uint8)


def node(file: Path | str, kind: str = "clip_image", protocol: str = "native", dtype: str = "float32"):
    return Models(asked_device="cpu").node(kind, f"emotionclip@{file}", protocol, dtype)


def how(protocol: str = "native") -> How:
    return How(PROTOCOLS[protocol], PartDTypes("cpu", "float32"), None)


def test_the_converted_file_has_a_clip_by_openais_names_and_its_head(clip, head, converted):
    found, published = load_file(converted), tensors(clip, head)
    assert {name for name in found if not name.startswith("clip_head.")} == clip.state_dict().keys()
    assert torch.equal(found["clip_head.positions"], published["visual_head.frame_position_embedding.weight"])
    for name, value in head.state_dict().items():
        assert torch.equal(found[f"clip_head.{name}"], value)
    assert len(found) == len(published) - 2, "one number stands there twice, and one tensor numbers the frames"
    card = card_of(converted)
    assert card is not None
    assert (card.system, card.quick_gelu) == ("emotionclip", "no")


def test_a_frame_is_what_the_layers_written_out_give(clip, converted, pictures):
    found = node(converted).load("cpu")(pictures)
    expected = frames_by_hand(clip, pictures).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_frames_and_then_the_clip_head_are_the_whole_model(clip, head, converted, pictures):
    frames = node(converted).load("cpu")(pictures)
    own = CODE.clip_head
    assert own is not None
    weights = own.weights(CODE.find(f"emotionclip@{converted}", Hashes()))
    found = clip_embeddings(weights, torch.from_numpy(frames)[None])[0].numpy()
    expected = clip_by_hand(clip, head, pictures)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    assert np.abs(expected - frames.mean(axis=0)).max() > 0.1, "and it is more than the mean of frames"


def test_another_mask_is_another_encoder(clip, converted, pictures):
    model = CODE.find(f"emotionclip@{converted}", Hashes())
    ones, zeros = (emotionclip_nodes.image_node(model, how(), mask) for mask in ("ones", "zeros"))
    assert ones.spec["mask"] == "ones"
    assert ones.digest == node(converted).digest != zeros.digest
    found = zeros.load("cpu")(pictures)
    np.testing.assert_allclose(found, frames_by_hand(clip, pictures, 0.0).numpy(), rtol=0, atol=1e-3)
    with torch.inference_mode():
        plain = clip.encode_image(torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255).numpy()
    released = emotionclip_nodes.image_node(model, how("released"), "zeros").load("cpu")(pictures)
    assert np.abs(released - plain).max() > 0.01, "even without persons it is no plain CLIP"


def test_texts_are_read_by_its_own_tower(clip, converted):
    with torch.inference_mode():
        expected = clip.encode_text(SimpleTokenizer()(TEXTS)).numpy()
    text = node(converted, "clip_text")
    np.testing.assert_allclose(text.load("cpu")(TEXTS), expected, rtol=0, atol=1e-5)
    assert text.reads is not None
    assert [one.is_cut for one in text.reads([*TEXTS, "a face " * 80])] == [False] * 3 + [True]
    assert {name: text.spec[name] for name in ("architecture", "weights")} == {
        name: node(converted).spec[name] for name in ("architecture", "weights")
    }, "by which texts are known to belong to images"


def test_its_own_pixels_are_cut_out_of_a_larger_square_and_normalised_as_imagenets(converted):
    assert usual_protocol("clip", f"emotionclip@{converted}") == "native"
    transform = node(converted).spec["transform"]
    assert transform["resize"] == "bicubic shortest edge 73, centre crop (Pillow)"
    assert transform["mean_std"][0] == [0.485, 0.456, 0.406]
    real = node("random").spec["transform"]
    assert (real["size"], real["resize"]) == (224, "bicubic shortest edge 256, centre crop (Pillow)")
    assert node(converted, protocol="released").spec["transform"]["resize"] == "bilinear squash (Pillow)"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_other_dtypes_are_near(converted, pictures, dtype):
    found, exact = (node(converted, dtype=one).load("cpu")(pictures) for one in (dtype, "float32"))
    assert 0 < np.abs(found - exact).max() < 0.1 * np.abs(exact).max()


def test_the_real_sizes_have_the_published_number_of_parameters():
    model = CODE.find("emotionclip@random", Hashes())
    own = CODE.clip_head
    assert own is not None
    with torch.device("meta"):
        head = sum(value.numel() for value in tiny_head(6, 512, 2048).parameters()) + 8 * 512
    assert sum(value.numel() for value in own.weights(model).values()) == head == 18_919_424
    sizes = [int(np.prod(shape)) for shape in clip_shapes(model.config).values()]
    assert len(sizes) == 302
    assert sum(sizes) == 151_277_313, "a CLIP ViT-B/32"


def test_random_weights_are_the_same_each_time_and_marked():
    model = CODE.find("emotionclip@random", Hashes())
    own = CODE.clip_head
    assert own is not None
    first, second = own.weights(model), own.weights(model)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert node("random").untrained


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"backbone.text_projection": None}, r"it lacks 'backbone\.text_projection'"),
        ({"backbone.visual.conv1.weight": None}, r"it lacks 'backbone\.visual\.conv1\.weight'"),
        ({"backbone.visual.ln_post.bias": None}, r"it lacks 'backbone\.visual\.ln_post\.bias'"),
        ({"visual_head.frame_position_embedding.weight": None}, r"it lacks 'visual_head\.frame_position_embedding"),
        (
            {"visual_head.fusion_layer.layers.0.norm1.weight": None},
            r"it lacks 'visual_head\.fusion_layer\.layers\.0\.norm1\.weight'",
        ),
        ({"visual_head.fusion_layer.extra": torch.ones(3)}, r"it has too 'visual_head\.fusion_layer\.extra'"),
        ({"decoder.weight": torch.ones(3)}, r"it has too 'decoder\.weight'"),
        ({"visual_head.frame_position_embedding.weight": torch.ones(16, 16)}, "another shape has 'visual_head"),
        (
            {"backbone.visual.ln_post.weight": torch.ones(32)},
            r"another shape has 'backbone\.visual\.ln_post\.weight'",
        ),
        ({"backbone.visual.proj": torch.ones(64)}, r"another shape has 'backbone\.visual\.proj'"),
        ({"backbone.token_embedding.weight": torch.ones(9, 64)}, "it has 9 words, and CLIP's tokenizer 49,408"),
        ({"backbone.positional_embedding": torch.ones(5000, 64)}, "by its tensors it has context_length 5,000"),
        ({"backbone.visual.positional_embedding": torch.ones(513 * 513 + 1, 64)}, "by its tensors it has image_size"),
        ({"backbone.visual.conv1.weight": torch.ones(48, 3, 32, 32)}, "by its tensors it has width 48; it must"),
        ({"logit_scale": torch.tensor(1.0)}, r"logit_scale and backbone\.logit_scale are two numbers"),
    ],
)
def test_what_is_not_its_file_is_refused_by_name(clip, head, tmp_path, changes, why):
    with pytest.raises(ExpclipError, match=f"is none of emotionclip's files \\({why}") as caught:
        convert("emotionclip", write_emotionclip(tmp_path / "latest.pt", tensors(clip, head, **changes)))
    assert "\n" not in str(caught.value)


def test_a_foreign_class_is_refused_by_name(clip, head, tmp_path):
    file = write_emotionclip(tmp_path / "latest.pt", tensors(clip, head), recorder=Foreign())
    with pytest.raises(
        ExpclipError, match=r"it names '.*test_emotionclip\.Foreign', which no file of this system does"
    ):
        convert("emotionclip", file)


def test_the_command_says_what_to_type(clip, head, tmp_path):
    file = write_emotionclip(tmp_path / "latest.pt", tensors(clip, head))
    done = CliRunner().invoke(app, ["weights", "convert", "emotionclip", str(file), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["names"] == [f"emotionclip@{file.with_suffix('.safetensors')}"]
    checked = CliRunner().invoke(
        app, ["weights", "check", "--clip", f"emotionclip@{file.with_suffix('.safetensors')}"]
    )
    assert checked.exit_code == 0, checked.output


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (
            "emotionclip",
            r"download them from https://github\.com/Xeaver/EmotionCLIP, run `expclip weights convert emotio",
        ),
        ("EmotionCLIP@", "on no hub"),
        ("emotionclip@there/is/none.safetensors", "there is no file .*none.safetensors"),
        ("emotionclip@latest.pt", r"run `expclip weights convert emotionclip .*latest\.pt`"),
        ("emotionclip@other.safetensors", r"does not hold these weights \(it lacks 'visual\.conv1\.weight'\)"),
    ],
)
def test_a_name_that_is_no_file_of_it_is_one_line(tmp_path, monkeypatch, name, why):
    from safetensors.torch import save_file

    monkeypatch.chdir(tmp_path)
    (tmp_path / "latest.pt").touch()
    save_file({"weight": torch.ones(3)}, tmp_path / "other.safetensors")
    with pytest.raises(UsageError, match=why):
        Models(asked_device="cpu").node("clip_image", name, "native")
    assert family_of("clip", name).address


def test_it_is_no_other_clip(converted):
    with pytest.raises(ExpclipError, match="does not hold the weights of this model"):
        Models(asked_device="cpu").node("clip_image", f"ViT-B-32@{converted}").load("cpu")
