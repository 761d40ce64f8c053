"""The miniature: trained models in the formats of the real ones, small, with a card that says what they are."""

import numpy as np
from expclip.encoders.cards import fitting, model_card
from expclip.encoders.families import Models
from expclip.encoders.names import BUILTIN
from safetensors import safe_open

MINIATURE = BUILTIN["miniature"]


def test_it_has_the_files_of_the_real_models():
    files = {path.relative_to(MINIATURE).as_posix() for path in MINIATURE.rglob("*") if path.is_file()}
    assert {"clip/open_clip_config.json", "clip/open_clip_model.safetensors", "clip/tokenizer.json"} <= files
    assert {"teacher/config.json", "teacher/model.safetensors.index.json", "teacher/tokenizer.json"} <= files
    assert len([name for name in files if name.startswith("teacher/model-0000")]) > 1


def test_its_weights_are_float16_and_at_most_eight_megabytes():
    weights = sorted(MINIATURE.rglob("*.safetensors"))
    assert sum(path.stat().st_size for path in weights) <= 8e6
    for path in weights:
        with safe_open(path, framework="np") as tensors:
            kinds = {tensors.get_slice(name).get_dtype() for name in tensors.keys()}  # noqa: SIM118  (no mapping)
        assert kinds <= {"F16", "I64"}


def test_its_card_says_how_it_was_made_and_what_it_scored():
    known = model_card(MINIATURE)
    assert known["data"] and known["losses"] and known["made"] and known["versions"]["torch"]
    assert set(known["evaluation"]) == {"plain CLIP", "related-1", "unrelated-1", "empty", "shuffled", "random"}
    assert "not evidence" in known["what it is"]
    assert set(known["fit_head"]) == {"lr", "epochs"}
    assert fitting("miniature") == known["fit_head"]


def test_other_teachers_have_no_card():
    assert fitting("blip2-flan-t5-xxl") == {}


def test_it_is_not_called_untrained_and_different_pictures_and_texts_have_different_features(pixels):
    found = Models(asked_device="cpu")
    llm = found.node("llm", "miniature", instruction_name="related-1")
    e_q = found.node("query_tokens", "miniature").load("cpu")(pixels)
    features = [found.node("clip_image", "miniature").load("cpu")(pixels), e_q, llm.load("cpu")(e_q)]
    features.append(found.node("clip_text", "miniature").load("cpu")(["a happy face", "a sad face"]))
    assert all(np.abs(one[0] - one[1]).max() > 0.05 for one in features)
    assert not llm.untrained and not found.node("clip_image", "miniature").untrained
