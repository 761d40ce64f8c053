"""The protocol `native`: pixels are those of the transform that a model was trained with."""

import json
import shutil

import numpy as np
import open_clip
import pytest
from expclip.encoders.families import Models
from expclip.encoders.images import fitted, read_image
from expclip.encoders.names import BUILTIN
from expclip.encoders.pixels import to_planes
from expclip.errors import UsageError
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

TAGS = {
    "SigLIP 2: bicubic squash": ("ViT-B-16-SigLIP2", "webli"),
    "PE-Core: bilinear squash": ("PE-Core-B-16", "meta"),
    "DFN: bicubic crop": ("ViT-B-16-quickgelu", "dfn2b"),
    "MetaCLIP 2: bicubic crop": ("ViT-H-14-worldwide-quickgelu", "metaclip2_worldwide"),
    "EVA-02: bicubic crop": ("EVA02-B-16", "merged2b_s8b_b131k"),
    "MobileCLIP 2: bilinear crop": ("MobileCLIP2-S0", "dfndr2b"),
    "OpenAI: bicubic crop": ("ViT-B-32-quickgelu", "openai"),
}
SIZES = ((64, 64), (301, 200), (200, 301), (97, 511), (1000, 999), (7, 5), (224, 224))


@pytest.fixture
def folder(tmp_path):
    """Makes a folder of a CLIP whose configuration says how it was trained."""

    def make(**preprocess):
        place = tmp_path / "clip"
        shutil.copytree(BUILTIN["miniature"] / "clip", place)
        config = json.loads((place / "open_clip_config.json").read_text())
        (place / "open_clip_config.json").write_text(json.dumps(config | {"preprocess_cfg": preprocess}))
        return f"local-dir:{place}"

    return make


@pytest.mark.parametrize("name", TAGS)
def test_they_are_open_clips_own_to_the_bit(folder, name):
    known = {
        key: value
        for key, value in open_clip.get_pretrained_cfg(*TAGS[name]).items()
        if key in PreprocessCfg().__dict__
    }
    node = Models(asked_device="cpu").node("clip_image", folder(**known), "native")
    assert node.squash is not None
    transform = image_transform_v2(PreprocessCfg(**known | {"size": node.squash.size}), is_train=False)
    rng = np.random.default_rng(1)
    for width, height in SIZES:
        image = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        ours = to_planes(fitted(image, node.squash.fit)[None], "cpu", node.squash.mean_std)[0]
        np.testing.assert_allclose(ours.numpy(), transform(image).numpy(), rtol=0, atol=3e-7)


def test_each_part_of_the_transform_is_another_store(folder):
    nodes = Models(asked_device="cpu")
    usual = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash"}
    name = folder(**usual)
    assert nodes.node("clip_image", name, "released").digest != nodes.node("clip_image", name, "native").digest
    digests = set()
    for changed in ({}, {"interpolation": "bilinear"}, {"resize_mode": "shortest"}, {"std": [0.4] * 3}):
        shutil.rmtree(name.removeprefix("local-dir:"))
        digests.add(Models(asked_device="cpu").node("clip_image", folder(**usual | changed), "native").digest)
    assert len(digests) == 4


def test_margins_are_refused_under_native_alone(folder):
    name = folder(resize_mode="longest")
    nodes = Models(asked_device="cpu")
    assert nodes.node("clip_image", name, "released").squash is not None
    with pytest.raises(UsageError, match="images with margins"):
        nodes.node("clip_image", name, "native")


def test_it_scores_from_extraction_to_results(lab, labelled):
    scores = lab.evaluate(labelled, clip="miniature", prompts="P-3", protocol="native").scores
    assert {score.of.protocol for score in scores} == {"native"}
    image = read_image(next(labelled.rglob("*.png")))
    assert fitted(image, 64).shape == (64, 64, 3)
