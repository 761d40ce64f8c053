"""Each model is given the images that it was trained on, unless another protocol is asked for."""

import json
import shutil

import expclip
import numpy as np
import pytest
from expclip.encoders.families import usual_protocol
from expclip.errors import UsageError
from lab import Lab


@pytest.fixture
def native_clip(tiny_models, tmp_path):
    """A folder whose configuration says on which pixels its model was trained."""
    folder = shutil.copytree(tiny_models / "clip", tmp_path / "own-pixels")
    path = folder / "open_clip_config.json"
    half = [0.5, 0.5, 0.5]
    path.write_text(json.dumps(json.loads(path.read_text()) | {"preprocess_cfg": {"mean": half, "std": half}}))
    return f"local-dir:{folder}"


@pytest.mark.parametrize(
    ("model", "protocol"),
    [
        ("ViT-B-32", "released"),
        ("ViT-L-14-336-quickgelu@openai", "released"),
        ("ViT-B-16@weights/file.safetensors", "released"),
        ("ViT-B-32@random", "released"),
        ("farl-b16@ep16.safetensors", "released"),
        ("miniature", "released"),
        ("hf-hub:timm/vit_base_patch32_clip_224.openai", "released"),
        ("ViT-B-16@dfn2b", "native"),
        ("ViT-B-16-SigLIP2@webli", "native"),
        ("EVA02-B-16@merged2b_s8b_b131k", "native"),
        ("ViT-B-16-SigLIP@file.safetensors", "native"),
        ("hf-hub:timm/ViT-B-16-SigLIP2", "native"),
    ],
)
def test_openais_models_keep_the_released_protocol_and_others_follow_their_card(model, protocol):
    assert usual_protocol("clip", model) == protocol


def test_a_folder_is_what_its_configuration_says(native_clip, tiny_models):
    assert usual_protocol("clip", native_clip) == "native"
    assert usual_protocol("clip", f"local-dir:{tiny_models / 'clip'}") == "released"


def test_a_sweep_gives_each_model_its_own_images_and_says_so(lab: Lab, labelled, native_clip, tiny_models, capsys):
    plain = f"local-dir:{tiny_models / 'clip'}"
    made = lab.extract(labelled, clip=(plain, native_clip))
    assert [one.protocol for one in made.stores] == ["released", "native"]
    scores = lab.evaluate(labelled, clip=(plain, native_clip), prompts="P-1").scores
    assert {(one.of.backbone, one.of.protocol) for one in scores} == {("clip", "released"), ("own-pixels", "native")}
    assert capsys.readouterr().err.count("own-pixels: its images are prepared as it was trained on them") == 2


def test_features_under_another_protocol_are_not_encoded_anew_without_a_word(lab: Lab, labelled, native_clip, capsys):
    lab.extract(labelled, clip=native_clip, protocol="released")
    assert "own-pixels: it was trained on other images than released gives it" in capsys.readouterr().err
    for plan in (True, False):
        with pytest.raises(UsageError, match=r"under the protocol released, and its own is native: run `.*`") as said:
            lab.extract(labelled, clip=native_clip, plan=plan)
        assert all(f"--protocol {one}" in str(said.value) for one in ("released", "native"))
    with pytest.raises(UsageError, match="it is there with protocol released, or run `expclip extract"):
        lab.fit_head(labelled, clip=native_clip, head="linear-probe")
    (one,) = lab.extract(labelled, clip=native_clip, protocol="native").stores
    assert one.protocol == "native"
    assert not lab.extract(labelled, clip=native_clip).encoded


def test_a_head_may_pair_images_of_a_models_own_with_e_g_as_released(lab: Lab, photos, labelled, native_clip):
    how = {"clip": native_clip, "teacher": "miniature"}
    lab.extract(photos, **how)
    (fitted,) = lab.fit_head(photos, **how, head="ridge")
    assert (fitted.card.protocol, fitted.card.e_g_protocol) == ("native", "released")
    assert lab.evaluate(labelled, clip=native_clip, head=fitted.card.id, image="llm", teacher="miniature")


def test_the_miniature_sees_what_it_was_trained_on_under_every_protocol(lab: Lab, labelled):
    arrays = []
    for protocol in ("released", "paper", "native"):
        lab.extract(labelled, clip="miniature", protocol=protocol)
        features = expclip.open_features(str(labelled), model="miniature", protocol=protocol, cache=lab.cache.root)
        arrays.append(features.array)
    for other in arrays[1:]:
        np.testing.assert_array_equal(other, arrays[0])
