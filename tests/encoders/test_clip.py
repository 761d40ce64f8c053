"""e_I and e_T are what open_clip itself computes; both protocols are prepared here from the pictures on their own."""

import logging
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from expclip.encoders.images import read_image, squash
from expclip.manifests.prompts import PROMPT_SETS, prompt_set
from PIL import Image
from tokenizers import Tokenizer
from torchvision.transforms import functional

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@pytest.fixture
def pictures(tmp_path) -> list[Path]:
    """Two image files that are no squares."""
    rng = np.random.default_rng(0)
    paths = [tmp_path / "wide.png", tmp_path / "tall.png"]
    for path, size in zip(paths, [(90, 150), (131, 77)], strict=True):
        coarse = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
        coarse.resize(size[::-1], Image.Resampling.BICUBIC).save(path)
    return paths


def open_clips_own(folder: Path) -> torch.nn.Module:
    return open_clip.create_model(f"local-dir:{folder}", require_pretrained=True).eval()


@pytest.mark.parametrize("protocol", ["released", "paper"])
def test_e_i_is_open_clips_image_embedding(clip_folder, models, pictures, protocol):
    node = models(protocol).clip_image(f"local-dir:{clip_folder}")
    pixels = np.stack([squash(read_image(path), node.squash.size) for path in pictures])
    e_i = node.load("cpu")(pixels)

    squashed = [Image.open(path).convert("RGB").resize((64, 64), Image.Resampling.BILINEAR) for path in pictures]
    planes = torch.stack([functional.to_tensor(image) for image in squashed])
    planes = functional.normalize(planes, MEAN, STD) if protocol == "paper" else planes
    with torch.no_grad():
        expected = open_clips_own(clip_folder).encode_image(planes).numpy()
    assert e_i.dtype == np.float32
    np.testing.assert_allclose(e_i, expected, rtol=1e-5, atol=1e-5)
    assert np.abs(np.linalg.norm(e_i, axis=1) - 1).min() > 0.1  # as CLIP gives it, not normalised


def test_the_paper_protocol_takes_the_models_own_constants(clip_folder, models, edit_json, pixels):
    half = [0.5, 0.5, 0.5]
    edit_json(clip_folder / "open_clip_config.json", "preprocess_cfg", {"mean": half, "std": half})
    e_i = models("paper").clip_image(f"local-dir:{clip_folder}").load("cpu")(pixels)
    planes = torch.from_numpy(pixels.copy()).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        expected = open_clips_own(clip_folder).encode_image(planes).numpy()
    np.testing.assert_allclose(e_i, expected, rtol=1e-5, atol=1e-5)


def test_e_t_is_open_clips_text_embedding(clip_folder, models):
    texts = ["an expression of happiness.", "a face"]
    e_t = models().clip_text(f"local-dir:{clip_folder}").load("cpu")(texts)
    tokenize = open_clip.get_tokenizer(f"local-dir:{clip_folder}")
    with torch.no_grad():
        expected = open_clips_own(clip_folder).encode_text(tokenize(texts)).numpy()
    np.testing.assert_allclose(e_t, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_open_clips_mixed_precision(clip_folder, models, pixels, dtype):
    tower = models(dtype=dtype).clip_image(f"local-dir:{clip_folder}").load("cpu")
    block = tower._model.visual.transformer.resblocks[0]
    assert block.mlp.c_fc.weight.dtype == getattr(torch, dtype)
    assert block.ln_1.weight.dtype == torch.float32
    exact = models().clip_image(f"local-dir:{clip_folder}").load("cpu")(pixels)
    assert 1e-5 < np.linalg.norm(tower(pixels) - exact) / np.linalg.norm(exact) < 0.02


def test_both_towers_share_one_model(clip_folder, models):
    found = models()
    image, text = found.clip_image(f"local-dir:{clip_folder}"), found.clip_text(f"local-dir:{clip_folder}")
    assert image.load("cpu")._model is text.load("cpu")._model


def test_loading_prints_nothing_and_leaves_logging_alone(clip_folder, models, capfd):
    root = logging.getLogger()
    before = (root.level, list(root.handlers), list(root.filters))
    models().clip_text(f"local-dir:{clip_folder}").load("cpu")(["a face"])
    assert (root.level, root.handlers, root.filters) == before
    assert capfd.readouterr() == ("", "")


def test_loading_and_drawing_weights_leaves_the_random_numbers_alone(models):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    models().clip_image("miniature").load("cpu")
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("words", [1, 74, 75, 76, 200])
def test_a_text_is_cut_where_its_tokens_and_the_two_special_ones_are_more_than_the_context(models, words):
    (reading,) = models().clip_text("ViT-B-32-quickgelu@random").reads(["face " * words])  # a token a word
    assert reading.is_cut == (words + 2 > 77)
    assert len(reading.tokens) == 77


@pytest.mark.parametrize("length", range(30, 60))
def test_what_the_tokenizer_of_a_folder_cuts_is_what_its_end_does_not_change(clip_folder, models, length):
    node = models().clip_text(f"local-dir:{clip_folder}")
    text = "ab" * length
    (reading,) = node.reads([text])
    assert reading.is_cut == (len(Tokenizer.from_file(str(clip_folder / "tokenizer.json")).encode(text).ids) > 48)


def test_the_papers_prompts_are_read_whole(models):
    texts = [text for name in PROMPT_SETS for text in prompt_set(name).texts]
    for model in ("ViT-B-32-quickgelu@random", "miniature"):
        assert not any(reading.is_cut for reading in models().clip_text(model).reads(texts))
