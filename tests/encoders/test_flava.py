"""FLAVA's checkpoints, as the library writes them: embeddings are the library's own, and nothing else is taken."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from expclip.cli import app
from expclip.encoders.families import Models
from expclip.encoders.flava.flava_fields import read_model, read_pixels
from expclip.encoders.flava.flava_model import flava_files
from expclip.encoders.images import fitted
from expclip.encoders.names import flava_name
from expclip.encoders.node import Node
from expclip.encoders.pixels import to_planes
from expclip.encoders.weights import PUBLISHED, file_states
from expclip.errors import ExpclipError, UsageError
from PIL import Image
from safetensors.torch import save_file
from tiny_flava import BIN, CONFIG, PLACES, PREPROCESSOR, SAFE, SIDE, WORDS, tiny_flava, write_flava
from transformers import BertTokenizer, FlavaConfig, FlavaForPreTraining, FlavaImageConfig, FlavaTextConfig
from transformers.models.flava.image_processing_flava import FlavaImageProcessor
from transformers.models.flava.image_processing_pil_flava import FlavaImageProcessorPil
from typer.testing import CliRunner

PROTOCOLS = ("native", "paper", "released")
TEXTS = ["a photo of a happy face.", "A photo", "sad", "a sad, sad, unknown face"]


@pytest.fixture(scope="module")
def library() -> FlavaForPreTraining:
    return tiny_flava()


@pytest.fixture(scope="module")
def written(library, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("flava") / "tiny-flava"
    write_flava(library, folder)
    return folder


@pytest.fixture
def folder(written, tmp_path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "tiny-flava"))


@pytest.fixture
def as_safetensors(folder) -> Callable[..., Path]:
    """Writes the weights anew; tensors may be renamed, added, changed or left out (None)."""

    def write(rename: Callable[[str], str] = str, **changes: torch.Tensor | None) -> Path:
        tensors = torch.load(folder / BIN, weights_only=True) | changes
        kept = {rename(name): value.clone() for name, value in tensors.items() if value is not None}
        save_file(kept, folder / SAFE, {"format": "pt"})
        return folder

    return write


@pytest.fixture
def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (len(TEXTS), SIDE, SIDE, 3), dtype=np.uint8)


def found(name: str, kind: str = "clip_image", protocol: str = "native", dtype: str = "float32") -> Node:
    """A node of a model that nobody looked for before."""
    return Models(asked_device="cpu").node(kind, name, protocol, dtype)


def images_of(folder: Path, pictures: np.ndarray, protocol: str = "native", dtype: str = "float32") -> np.ndarray:
    return found(f"flava@{folder}", "clip_image", protocol, dtype).load("cpu")(pictures)


def texts_of(folder: Path, texts: list[str], dtype: str = "float32") -> np.ndarray:
    return found(f"flava@{folder}", "clip_text", dtype=dtype).load("cpu")(texts)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def refused(make: Callable[[], object], message: str, kind: type[ExpclipError] = ExpclipError) -> None:
    with pytest.raises(kind, match=message) as caught:
        make()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000


def test_the_cosines_are_those_of_the_librarys_pre_training(library, written, pictures):
    """Its own pixels, its own tokens with padding: `contrastive_logits_per_image` is what it was trained by."""
    pixels = FlavaImageProcessorPil.from_pretrained(written)(
        [Image.fromarray(one) for one in pictures], return_tensors="pt"
    )
    tokens = BertTokenizer.from_pretrained(written)(TEXTS, padding=True, return_tensors="pt")
    with torch.inference_mode():
        said = library(**pixels, **tokens, input_ids_masked=tokens["input_ids"], return_loss=False)
    expected = said.contrastive_logits_per_image.numpy() / library.flava.logit_scale.exp().item()
    ours = unit(images_of(written, pictures)) @ unit(texts_of(written, TEXTS)).T
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5)
    assert np.ptp(expected) > 0.01


def test_embeddings_are_projections_of_the_first_token_and_not_normalised(library, written, pictures):
    planes = to_planes(pictures, "cpu", None)
    tokens = BertTokenizer.from_pretrained(written)(
        TEXTS, padding="max_length", max_length=PLACES, return_tensors="pt"
    )
    with torch.inference_mode():
        images = library.flava.get_image_features(planes).pooler_output[:, 0].numpy()
        texts = library.flava.get_text_features(**tokens).pooler_output[:, 0].numpy()
    np.testing.assert_allclose(images_of(written, pictures, "released"), images, rtol=0, atol=1e-5)
    np.testing.assert_allclose(texts_of(written, TEXTS), texts, rtol=0, atol=1e-5)


def test_two_images_and_two_texts_have_different_rows(written, pictures):
    for rows in (images_of(written, pictures), texts_of(written, TEXTS)):
        assert all(np.abs(rows[0] - other).max() > 0.01 for other in rows[1:])


def test_what_a_text_is_encoded_beside_changes_nothing(written):
    alone = np.concatenate([texts_of(written, [text]) for text in TEXTS])
    np.testing.assert_allclose(texts_of(written, TEXTS), alone, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(texts_of(written, TEXTS[1:2]), texts_of(written, TEXTS)[1:2])


def test_a_longer_text_than_there_are_places_is_cut_and_said_to_be(written):
    node = found(f"flava@{written}", "clip_text")
    assert node.reads is not None
    longest, longer = "a " * (PLACES - 2), "a " * (PLACES - 1)
    whole, cut = node.reads([longest, longer])
    assert (whole.is_cut, cut.is_cut) == (False, True)
    assert whole.tokens == cut.tokens
    np.testing.assert_array_equal(*texts_of(written, [longest, longer]))
    tokens = BertTokenizer.from_pretrained(written)(longer, truncation=True, max_length=PLACES)
    assert list(cut.tokens) == tokens["input_ids"]


def test_a_bare_vocabulary_gives_the_same_tokens_as_the_tokenizers_file(folder):
    expected = texts_of(folder, TEXTS)
    (folder / "tokenizer.json").unlink()
    np.testing.assert_array_equal(texts_of(folder, TEXTS), expected)
    node = found(f"flava@{folder}", "clip_text")
    assert set(node.spec["tokenizer"]) == {"vocab.txt", "tokenizer_config.json"}
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"do_lower_case": False}))
    assert np.abs(texts_of(folder, ["A photo"]) - expected[1:2]).max() > 0.01, "a capital letter is another now"
    assert found(f"flava@{folder}", "clip_text").digest != node.digest


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves_are_near(written, pictures, dtype):
    for encode, what in ((images_of, pictures), (texts_of, TEXTS)):
        expected = encode(written, what, dtype="float32")
        halves = encode(written, what, dtype=dtype)
        assert 0 < np.abs(halves - expected).max() < 0.03 * np.abs(expected).max()
        assert halves.dtype == np.float32


def test_a_checkpoint_of_halves_is_loaded_in_what_is_asked_for(folder, pictures):
    tensors = torch.load(folder / BIN, weights_only=True)
    expected = images_of(folder, pictures)
    torch.save(
        {name: value.half() if value.is_floating_point() else value for name, value in tensors.items()}, folder / BIN
    )
    ours = images_of(folder, pictures)
    assert 0 < np.abs(ours - expected).max() < 0.01 * np.abs(expected).max()


@pytest.mark.parametrize(
    "rename",
    [str, lambda name: name.removeprefix("flava."), lambda name: f"module.{name}"],
    ids=["of the pre-training", "of a FlavaModel", "of DataParallel"],
)
def test_a_pickle_gives_the_same_under_every_prefix(folder, pictures, rename):
    expected = images_of(folder, pictures), texts_of(folder, TEXTS)
    tensors = torch.load(folder / BIN, weights_only=True)
    torch.save({"state_dict": {rename(name): value for name, value in tensors.items()}}, folder / BIN)
    np.testing.assert_array_equal(images_of(folder, pictures), expected[0])
    np.testing.assert_array_equal(texts_of(folder, TEXTS), expected[1])


@pytest.mark.parametrize("prefix", ["flava.", ""])
def test_safetensors_give_the_same_and_only_what_is_needed_is_read(as_safetensors, written, pictures, reads, prefix):
    folder = as_safetensors(lambda name: prefix + name.removeprefix("flava.") if name.startswith("flava.") else name)
    (folder / BIN).unlink()
    np.testing.assert_allclose(images_of(folder, pictures), images_of(written, pictures), rtol=0, atol=1e-6)
    np.testing.assert_allclose(texts_of(folder, TEXTS), texts_of(written, TEXTS), rtol=0, atol=1e-6)
    towers = ("image_model.", "text_model.", "image_projection.", "text_projection.")
    assert all(name.removeprefix(prefix).startswith(towers) and "pooler" not in name for name in reads.tensors)


def test_what_the_library_itself_writes_is_read_in_shards_too(library, folder, pictures):
    expected = images_of(folder, pictures), texts_of(folder, TEXTS)
    (folder / BIN).unlink()
    library.save_pretrained(folder, max_shard_size="40KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 3
    np.testing.assert_allclose(images_of(folder, pictures), expected[0], rtol=0, atol=1e-6)
    np.testing.assert_allclose(texts_of(folder, TEXTS), expected[1], rtol=0, atol=1e-6)
    names = flava_files(f"flava@{folder}").names
    assert {"config.json", "model.safetensors.index.json", "tokenizer.json"} < set(names)
    weights = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    assert any(file not in names for file in weights.values()), "shards of the heads are not needed"


FOREIGN = {"flava.decoder.weight": torch.ones(3)}
LACKING = {"flava.text_projection.bias": None}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (LACKING, r"the weights lack 'flava\.text_projection\.bias'\."),
        (FOREIGN, r"have 'flava\.decoder\.weight', which FLAVA has not"),
        ({"visual.proj": torch.ones(3)}, r"have 'visual\.proj', which FLAVA has not"),
        ({"mmm_head.weight": torch.ones(3)}, r"have 'mmm_head\.weight', which FLAVA has not"),
        ({"flava.logit_scale_of_mine": torch.ones(3)}, r"have 'flava\.logit_scale_of_mine', which"),
        (
            {"flava.image_model.encoder.layer.2.output.dense.bias": torch.ones(32)},
            r"have 'flava\.image_model\.encoder\.layer\.2\.output",
        ),
        (
            {"flava.image_projection.weight": torch.ones(24, 31)},
            r"image_projection\.weight is \(24, 31\) there and \(24, 32\) by the configuration",
        ),
        ({"flava.image_projection.bias": torch.ones(24, dtype=torch.int32)}, "holds torch.int32: quantised"),
        ({"image_projection.bias": torch.ones(24)}, r"have 'image_projection\.bias', which FLAVA has not"),
    ],
)
def test_what_is_not_exactly_a_flava_is_refused(folder, as_safetensors, pictures, changes, why):
    tensors = torch.load(folder / BIN, weights_only=True) | changes
    torch.save({name: value for name, value in tensors.items() if value is not None}, folder / BIN)
    refused(lambda: images_of(folder, pictures), f"{BIN} does not hold the weights of this FLAVA: .*{why}")
    as_safetensors()
    refused(lambda: texts_of(folder, TEXTS), f"{SAFE} does not hold the weights of this FLAVA: .*{why}")


@pytest.mark.parametrize("which", ["text_model", "image_model"])
def test_a_checkpoint_without_one_tower_is_refused_for_both(folder, pictures, which):
    tensors = torch.load(folder / BIN, weights_only=True)
    torch.save({name: value for name, value in tensors.items() if f".{which}." not in name}, folder / BIN)
    refused(lambda: images_of(folder, pictures), rf"the weights lack 'flava\.{which}\..*more")
    refused(lambda: texts_of(folder, TEXTS), rf"the weights lack 'flava\.{which}\..*more")


def test_a_clip_is_refused_by_its_configuration_and_by_its_weights(folder, tiny_models, pictures):
    shutil.copy(tiny_models / "clip" / "open_clip_model.safetensors", folder / SAFE)
    refused(lambda: images_of(folder, pictures), "the weights lack 'image_model.*more and have .*which FLAVA has not")
    (folder / CONFIG).write_text(json.dumps({"model_type": "clip"}))
    refused(lambda: images_of(folder, pictures), "describes 'clip'; a 'flava' is needed", UsageError)


def test_an_index_without_any_of_its_towers_is_refused(folder, pictures):
    index = {"weight_map": {"visual.proj": "model-00001-of-00001.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    refused(lambda: images_of(folder, pictures), r"index\.json does not hold .*have 'visual\.proj'")


@pytest.mark.parametrize("name", [SAFE, BIN])
def test_a_damaged_file_is_one_line(folder, as_safetensors, pictures, name):
    as_safetensors()
    if name == BIN:
        (folder / SAFE).unlink()
    whole = (folder / name).read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"version https://git-lfs.github.com/spec/v1\n"):
        (folder / name).write_bytes(content)
        refused(lambda: images_of(folder, pictures), name)


def test_a_pickle_runs_nothing(folder, pictures, tmp_path):
    class Canary:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "canary",))

    tensors = torch.load(folder / BIN, weights_only=True)
    expected = images_of(folder, pictures)
    torch.save({"state_dict": tensors, "callbacks": Canary()}, folder / BIN)
    np.testing.assert_array_equal(images_of(folder, pictures), expected)
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("image_config", "hidden_act", "quick_gelu"),
        ("image_config", "hidden_act", "gelu_new"),
        ("image_config", "layer_norm_eps", 1e-5),
        ("text_config", "hidden_act", "quick_gelu"),
        ("text_config", "layer_norm_eps", 1e-5),
    ],
)
def test_another_activation_or_epsilon_is_another_result_and_another_store(
    folder, edit_json, pictures, section, key, value
):
    def rows() -> np.ndarray:
        return images_of(folder, pictures) if section == "image_config" else texts_of(folder, TEXTS)

    def digest() -> str:
        return found(f"flava@{folder}", "clip_text").digest

    _shrink_what_is_normalised(folder)
    before, expected = digest(), rows()
    edit_json(folder / CONFIG, section, key, value)
    assert np.abs(rows() - expected).max() > 1e-4
    assert digest() != before


def _shrink_what_is_normalised(folder: Path) -> None:
    """Variances near an epsilon of 1e-5: only there does an epsilon show."""
    tensors = torch.load(folder / BIN, weights_only=True)
    for name in tensors:
        if name.startswith(("flava.image_model.embeddings.", "flava.text_model.embeddings.")) and "_ids" not in name:
            tensors[name] *= 0.01
    torch.save(tensors, folder / BIN)


@pytest.mark.parametrize(
    ("section", "key", "value", "why"),
    [
        ("image_config", "hidden_act", "os.system", "transformers cannot build it"),
        ("image_config", "num_attention_heads", 5, "transformers cannot build it"),
        ("image_config", "hidden_size", 10**9, "hidden_size is 1000000000; it must be"),
        ("image_config", "num_channels", 4, "num_channels is 4"),
        ("image_config", "image_size", [32, 16], r"image_size is \[32, 16\]"),
        ("image_config", "patch_size", 64, "there must be 1 to 128 patches"),
        ("image_config", "layer_norm_eps", "tiny", "layer_norm_eps is 'tiny'"),
        ("text_config", "vocab_size", -1, "vocab_size is -1"),
        ("text_config", "max_position_embeddings", 2, "max_position_embeddings is 2"),
        ("text_config", "num_hidden_layers", 3, r"the weights lack 'flava\.text_model\.encoder\.layer\.2"),
        ("text_config", "qkv_bias", False, r"have 'flava\.text_model\..*bias'"),
        ("text_config", "hidden_size", 64, r"is \(.*\) there and \(.*\) by the configuration"),
    ],
)
def test_a_configuration_out_of_bounds_is_refused(folder, edit_json, pictures, section, key, value, why):
    edit_json(folder / CONFIG, section, key, value)
    refused(lambda: images_of(folder, pictures), why)


def test_nothing_else_of_a_configuration_has_an_effect(folder, edit_json, pictures):
    expected = images_of(folder, pictures)
    for key, value in (("auto_map", {"AutoModel": "code.T"}), ("_name_or_path", "/etc/passwd"), ("torch_dtype", "x")):
        edit_json(folder / CONFIG, key, value)
        edit_json(folder / CONFIG, "image_config", key, value)
    np.testing.assert_array_equal(images_of(folder, pictures), expected)


def test_the_defaults_are_the_librarys_own():
    image, text, width = read_model({"model_type": "flava", "text_config": None}, "")
    for ours, kind in ((image, FlavaImageConfig()), (text, FlavaTextConfig())):
        assert ours == {key: getattr(kind, key) for key in ours}
    assert width == FlavaConfig().projection_dim
    processor = FlavaImageProcessorPil()
    own = list(processor.image_mean), list(processor.image_std), "bicubic"
    assert read_pixels({}, processor.size["height"], "") == own


def test_what_older_files_say_twice_is_read_as_the_library_reads_it():
    older = {"model_type": "flava", "text_config": {"hidden_size": 64}, "text_config_dict": {"vocab_size": 99}}
    _, text, _ = read_model(older, "")
    expected = FlavaConfig(**older).text_config
    assert text == {key: getattr(expected, key) for key in text}


@pytest.mark.parametrize("size", [(64, 64), (301, 200), (200, 301), (7, 5), (SIDE, SIDE)])
def test_native_pixels_are_those_of_the_librarys_processor(written, size):
    node = found(f"flava@{written}")
    assert node.squash is not None
    assert node.squash.mean_std is not None
    width, height = size
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8))
    ours = to_planes(fitted(image, node.squash.fit)[None], "cpu", node.squash.mean_std)[0].numpy()
    processor = FlavaImageProcessorPil.from_pretrained(written)
    theirs = processor(image, return_tensors="np")["pixel_values"][0]
    np.testing.assert_array_equal(ours, theirs)
    by_torchvision = FlavaImageProcessor.from_pretrained(written)(image, return_tensors="np")["pixel_values"][0]
    assert np.abs(ours - by_torchvision).max() < 1.01 / 255 / min(node.squash.mean_std[1]), "a grey level at most"


def test_each_protocol_has_its_own_pixels(written, pictures):
    nodes = {name: found(f"flava@{written}", protocol=name) for name in PROTOCOLS}
    assert len({node.digest for node in nodes.values()}) == 3
    assert {
        name: (node.squash.resample, bool(node.squash.mean_std)) for name, node in nodes.items() if node.squash
    } == {"native": ("bicubic", True), "paper": ("bilinear", True), "released": ("bilinear", False)}
    assert np.abs(images_of(written, pictures) - images_of(written, pictures, "released")).max() > 0.01


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("do_resize", False),
        ("do_normalize", False),
        ("do_rescale", False),
        ("rescale_factor", 1),
        ("size", {"shortest_edge": SIDE}),
        ("size", {"height": SIDE}),
        ("size", 64),
        ("crop_size", {"height": 16, "width": 16}),
        ("resample", 1),
        ("image_std", [0, 1, 1]),
        ("image_mean", 0.5),
    ],
)
def test_another_transform_is_refused(folder, edit_json, key, value):
    edit_json(folder / PREPROCESSOR, key, value)
    refused(lambda: found(f"flava@{folder}"), f"{PREPROCESSOR} cannot be used .{key} is", UsageError)


def test_a_transform_of_the_same_form_is_taken_and_is_another_store(folder, edit_json):
    before = found(f"flava@{folder}")
    edit_json(folder / PREPROCESSOR, "size", SIDE)
    assert found(f"flava@{folder}").digest == before.digest, "an older spelling of the same"
    edit_json(folder / PREPROCESSOR, "image_std", [0.5, 0.5, 0.5])
    edit_json(folder / PREPROCESSOR, "resample", 2)
    after = found(f"flava@{folder}")
    assert after.squash is not None
    assert after.squash.mean_std is not None
    assert (after.squash.resample, after.squash.mean_std[1]) == ("bilinear", [0.5, 0.5, 0.5])
    assert after.digest != before.digest


def test_a_tokenizer_of_another_kind_is_refused(folder, tiny_models):
    shutil.copy(tiny_models / "teacher" / "tokenizer.json", folder / "tokenizer.json")
    refused(lambda: texts_of(folder, TEXTS), r"this tokenizer is no BERT's: a text must begin with \[CLS\]")
    (folder / "tokenizer.json").write_text("{}")
    refused(lambda: texts_of(folder, TEXTS), "not a tokenizer of FLAVA")
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("a\nface\n")
    refused(lambda: texts_of(folder, TEXTS), r"not a tokenizer of FLAVA.*lacks \[CLS\]")
    words = [*WORDS, "smile"]
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in words))
    refused(lambda: texts_of(folder, ["smile"]), f"has words beyond the {len(WORDS)} of the model")
    (folder / "vocab.txt").unlink()
    refused(lambda: texts_of(folder, TEXTS), "has neither tokenizer.json nor vocab.txt", UsageError)


def test_steps_of_a_tokenizer_without_end_are_refused(folder, edit_json):
    double = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
    edit_json(folder / "tokenizer.json", "normalizer", {"type": "Sequence", "normalizers": [double] * 34})
    refused(lambda: texts_of(folder, TEXTS), "tokenizer.json: its steps", UsageError)


@pytest.mark.parametrize(
    ("text", "canonical", "source"),
    [
        ("flava", "flava", "facebook/flava-full"),
        ("FLAVA", "flava", "facebook/flava-full"),
        ("facebook/flava-full", "flava", "facebook/flava-full"),
        ("Flava@random", "flava@random", "random"),
        ("FLAVA@some/Where", "flava@Where", "some/Where"),
    ],
)
def test_names(text, canonical, source):
    name = flava_name(text)
    assert (name.canonical, name.source, name.is_path) == (canonical, source, source == "some/Where")


def test_names_that_lead_nowhere(tmp_path):
    refused(lambda: found("flava@"), "name a folder, as flava@FOLDER", UsageError)
    refused(lambda: found(f"flava@{tmp_path / 'none'}"), "there is no folder", UsageError)
    refused(lambda: found(f"flava@{tmp_path}"), "has no config.json", UsageError)
    refused(lambda: found("flavour"), "name the weights too", UsageError)


def test_a_folder_needs_weights(folder, pictures):
    (folder / BIN).unlink()
    refused(lambda: images_of(folder, pictures), f"has none of .*{SAFE} and {BIN}", UsageError)


def test_without_a_network_it_is_one_line(offline):
    refused(lambda: found("flava"), "could not be fetched .*flava@DIR")
    refused(lambda: flava_files("flava", fetch=True), r"facebook/flava-full: config\.json is not on this machine")
    assert {state.state for state in file_states(flava_files("flava"))} == {"missing"}


def test_the_hubs_files_are_used_without_a_network(put, written, pictures):
    needed = [CONFIG, PREPROCESSOR, BIN, "tokenizer.json"]
    put("facebook/flava-full", [written / name for name in needed])
    node = found("flava")
    np.testing.assert_array_equal(node.load("cpu")(pictures), images_of(written, pictures))
    assert set(flava_files("flava", fetch=True).names) == set(flava_files("FLAVA").names) == set(needed)
    assert {state.state for state in file_states(flava_files("flava"))} == {"whole"}
    local = found(f"flava@{written}")
    assert (node.model, local.model, node.digest) == ("flava", "flava@tiny-flava", local.digest)


def test_of_the_hub_what_is_missing_is_fetched_and_nothing_else(offline, monkeypatch, written):
    """It has no safetensors, as when it was last listed; the hub is a folder here."""
    place = offline / "models--facebook--flava-full" / "snapshots" / "main"
    asked: list[str] = []

    def etag(repository: str, name: str) -> str | None:
        assert repository == "facebook/flava-full"
        return "e" if (written / name).is_file() else None

    def fetch(repository: str, name: str) -> Path:
        place.mkdir(parents=True, exist_ok=True)
        asked.append(name)
        return Path(shutil.copy(written / name, place))

    monkeypatch.setattr("expclip.encoders.hub.etag", etag)
    monkeypatch.setattr("expclip.encoders.hub.fetch", fetch)
    assert set(flava_files("flava", fetch=True).names) == set(asked) == {CONFIG, PREPROCESSOR, BIN, "tokenizer.json"}
    asked.clear()
    flava_files("flava", fetch=True)
    assert asked == []


def test_it_is_listed_and_checked(offline, written):
    assert PUBLISHED["flava"].licence == "BSD-3-Clause"
    listed = CliRunner().invoke(app, ["weights", "list", "--json"])
    assert {"facebook/flava-full"} <= {line["source"] for line in json.loads(listed.stdout)}
    checked = CliRunner().invoke(app, ["weights", "check", "--clip", f"flava@{written}", "--json"])
    assert checked.exit_code == 0, checked.output
    assert {line["file"] for line in json.loads(checked.stdout)} == {CONFIG, PREPROCESSOR, BIN, "tokenizer.json"}


def test_random_weights_are_marked_and_need_no_file(offline):
    nodes = [found("FLAVA@Random", kind) for kind in ("clip_image", "clip_text")]
    assert all(node.untrained and node.model == "flava@random" for node in nodes)
    assert flava_files("flava@random").names == ()


def test_it_extracts_scores_and_takes_heads(lab, labelled, photos, written, tmp_path):
    name = f"flava@{written}"
    usual = {"clip": name, "protocol": "native"}
    lab.extract(photos, **usual, teacher="miniature")
    (head,) = lab.fit_head(photos, **usual, teacher="miniature", seed=1, epochs=1, batch_size=8)
    lab.extract(labelled, **usual)
    answer = lab.evaluate(labelled, **usual, prompts="P-3", head=["none", str(head.path)])
    assert {score.of.backbone for score in answer.scores} == {"flava@tiny-flava"}
    assert len(answer.scores) == 2
    store = lab.cache.find("labelled", "clip_image")[0]
    assert store.header.spec["architecture"]["family"] == "flava"
    assert np.ptp(store.read(), axis=0).max() > 0
    again = Path(shutil.copytree(written, tmp_path / "elsewhere"))
    same = lab.evaluate(labelled, clip=f"flava@{again}", protocol="native", prompts="P-3", cached_only=True)
    assert [score.uar for score in same.scores] == [score.uar for score in answer.scores], "known by its weights"


def test_transformers_still_projects_all_tokens(library, pictures):
    """Were its features pooled, FLAVA's own entry would do, and this family could go."""
    planes = to_planes(pictures, "cpu", None)
    with torch.inference_mode():
        assert library.flava.get_image_features(planes).pooler_output.ndim == 3, transformers.__version__
