"""DFER-CLIP's files, written as they are released: a CLIP that is there twice, a model over frames, and prompts."""

import json

import numpy as np
import open_clip
import pytest
import torch
from expclip.cli import app
from expclip.encoders.conversion import Asked, convert
from expclip.encoders.weights_card import card_of, classifier_card_of
from expclip.errors import ExpclipError, UsageError
from expclip.manifests.prompts import PromptSet
from safetensors.torch import load_file
from tiny_dfer import CLASSES, TEXTS, dfer_state, names_in, text_directions, tiny_dfer, write_dfer
from tiny_farl import TINY
from typer.testing import CliRunner

THREE = Asked(CLASSES)
SUFFIX = "prompt_learner.token_suffix"


@pytest.fixture(scope="module")
def model() -> tuple[open_clip.CLIP, dict[str, torch.Tensor]]:
    return tiny_dfer()


@pytest.fixture
def released(model, tmp_path):
    """Writes such a file; tensors may be added, changed or left out (None)."""

    def write(changes=None, **more):
        state = {name: value for name, value in (model[1] | (changes or {})).items() if value is not None}
        write_dfer(tmp_path / "DFEW-set3.pth", state, **more)
        return tmp_path / "DFEW-set3.pth"

    return write


@pytest.fixture
def architectures(monkeypatch):
    """What open_clip would call models of this size."""
    for name, quick in (("tiny", False), ("tiny-quickgelu", True)):
        monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, name, TINY | {"quick_gelu": quick})


def prompts(**texts: str | tuple[str, ...]) -> PromptSet:
    """Those of the file, with changes."""
    known = dict(zip(CLASSES, TEXTS, strict=True)) | texts
    return PromptSet("mine", {name: (text,) if isinstance(text, str) else text for name, text in known.items()})


def test_the_file_is_as_released(released):
    names = names_in(released())
    assert {"__main__.RecorderMeter", "numpy.ndarray", "numpy.dtype", "_codecs.encode"} <= names
    with pytest.raises(Exception, match=r"RecorderMeter|CUDA"):
        torch.load(released(), weights_only=True)


def test_the_clip_and_the_classifier_are_written_each_to_its_file(model, released):
    source = released()
    made = convert("dfer-clip", source, asked=THREE)
    assert made.classifier is not None
    assert [made.path.name, made.classifier.path.name] == ["DFEW-set3.safetensors", "DFEW-set3-head.safetensors"]
    found, expected = load_file(made.path), model[0].state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    card, behind = card_of(made.path), classifier_card_of(made.classifier.path)
    assert card is not None and behind is not None
    assert (card.system, card.quick_gelu) == ("dfer-clip", "yes")
    assert (behind.classes, behind.source_sha256) == (CLASSES, card.source_sha256)
    assert behind.prompts == tuple(text.replace(".", " .") for text in TEXTS), "as tokens spell them"
    tensors = load_file(made.classifier.path)
    np.testing.assert_allclose(tensors.pop("texts").numpy(), text_directions(*model, TEXTS), atol=1e-5)
    theirs = [value.numel() for name, value in model[1].items() if name.startswith("temporal_net.")]
    assert sorted(value.numel() for value in tensors.values()) == sorted(theirs)


def test_a_context_that_all_classes_share_is_that_of_each(model, released, tmp_path):
    shared = model[1]["prompt_learner.ctx"][0]
    convert("dfer-clip", released({"prompt_learner.ctx": shared}), asked=THREE)
    found = load_file(tmp_path / "DFEW-set3-head.safetensors")["texts"]
    each = model[1] | {"prompt_learner.ctx": shared.expand(3, *shared.shape)}
    np.testing.assert_allclose(found.numpy(), text_directions(model[0], each, TEXTS), atol=1e-5)


def test_the_same_file_gives_the_same_bytes_again_and_another_is_not_overwritten(released, tmp_path):
    convert("dfer-clip", released(), asked=THREE)
    files = sorted(tmp_path.glob("*.safetensors"))
    before = [file.read_bytes() for file in files]
    convert("dfer-clip", released(), asked=THREE)
    assert [file.read_bytes() for file in files] == before
    for gone in files:
        gone.unlink()
        with pytest.raises(UsageError, match="is there already: remove it"):
            convert("dfer-clip", released(epoch=38), asked=THREE)
        convert("dfer-clip", released(), asked=THREE)


class Other:
    """A class that no such file holds."""


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"image_encoder.proj": torch.ones(64, 16)}, r"image_encoder\.proj is not clip_model_\.visual\.proj"),
        ({"text_encoder.ln_final.bias": torch.ones(64)}, r"text_encoder\.ln_final\.bias is not clip_"),
        ({"image_encoder.proj": None}, r"it lacks 'image_encoder\.proj'"),
        ({"clip_model_.text_projection": None}, "it lacks text_projection"),
        ({"clip_model_.visual.extra": torch.ones(3)}, r"it has too 'visual\.extra'"),
        ({"audio.weight": torch.ones(3)}, r"it has too 'audio\.weight'"),
        ({"prompt_learner.token_prefix": torch.ones(3, 1, 64)}, "token_prefix of happiness is not the embedding of"),
        ({"prompt_learner.ctx": torch.ones(2, 2, 64)}, r"ctx has the shape \(2, 2, 64\) instead of \(3, 2, 64\)"),
        ({SUFFIX: torch.ones(3, 70, 64)}, r"token_suffix has the shape \(3, 70, 64\) instead of \(3, 74, 64\)"),
        ({SUFFIX: None}, r"it lacks prompt_learner\.token_suffix"),
        ({"temporal_net.pos_embedding": torch.ones(1, 9, 16)}, r"pos_embedding has the shape \(1, 9, 16\)"),
        ({"temporal_net.cls_token": torch.full((1, 1, 16), torch.nan)}, "cls_token holds numbers that are not fin"),
        (
            {"temporal_net.temporal_transformer.layers.1.0.fn.norm.bias": torch.ones(16)},
            r"it has too 'temporal_net\.temporal_transformer\.layers\.1",
        ),
        ({"temporal_net.cls_token": torch.ones(1, 1, 16, dtype=torch.int32)}, "cls_token' holds torch.int32"),
    ],
)
def test_what_is_no_such_file_is_refused_by_name(released, tmp_path, changes, why):
    with pytest.raises(ExpclipError, match=f"is none of dfer-clip's files \\(.*{why}") as caught:
        convert("dfer-clip", released(changes), asked=THREE)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("*.safetensors"))


def changed_suffix(model, place: int, to: torch.Tensor) -> dict[str, torch.Tensor]:
    changed = model[1][SUFFIX].clone()
    changed[1, place] = to
    return {SUFFIX: changed}


def test_a_description_that_was_changed_is_refused(model, released):
    table, last = model[1]["clip_model_.token_embedding.weight"], model[1][SUFFIX].shape[1] - 1
    odd = changed_suffix(model, 2, torch.nextafter(model[1][SUFFIX][1, 2], torch.tensor(9.0)))
    with pytest.raises(ExpclipError, match=r"token_suffix of sadness: its 3\. row is none of clip_model_"):
        convert("dfer-clip", released(odd), asked=THREE)
    for place, token in ((0, 49407), (2, 49406), (last, 320), (last, 49407)):
        with pytest.raises(ExpclipError, match="token_suffix of sadness is not made of words, one end of a text"):
            convert("dfer-clip", released(changed_suffix(model, place, table[token])), asked=THREE)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_a_foreign_class_is_refused_by_its_name(model, tmp_path, legacy):
    state = {f"module.{name}": value for name, value in model[1].items()}
    torch.save({"state_dict": state, "x": Other()}, tmp_path / "w.pth", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(ExpclipError, match=rf"names '{Other.__module__}\.Other', which no file of this system does"):
        convert("dfer-clip", tmp_path / "w.pth", asked=THREE)


def test_descriptions_are_what_the_user_says_or_the_class_is_named(released):
    source = released()
    convert("dfer-clip", source, asked=Asked(CLASSES, prompts()))
    for wrong, name in (
        (Asked(("sadness", "happiness", "neutral"), prompts()), "sadness"),
        (Asked(CLASSES, prompts(neutral="nothing moves")), "neutral"),
    ):
        with pytest.raises(UsageError, match=f"prompts mine: the prompt of {name} in .* reads .* and this says"):
            convert("dfer-clip", source, asked=wrong)
    with pytest.raises(UsageError, match="mine has several prompts for sadness: give one"):
        convert("dfer-clip", source, asked=Asked(CLASSES, prompts(sadness=("a", "b"))))


def test_how_many_classes_there_are_says_which_or_they_are_named(model, released, tmp_path):
    with pytest.raises(UsageError, match=r"tells 3 classes apart: name them in its order with classes"):
        convert("dfer-clip", released())
    with pytest.raises(UsageError, match=r"classes: 2 names, and .* tells 3 classes apart"):
        convert("dfer-clip", released(), asked=Asked(("happiness", "sadness")))
    for count in (7, 11):
        texts = tuple(f"face number {k}." for k in range(count))
        write_dfer(tmp_path / f"{count}.pth", dfer_state(model[0], texts))
        made = convert("dfer-clip", tmp_path / f"{count}.pth")
        assert made.classifier is not None
        assert made.classifier.card.classes[6:8] == ("fear", "contempt")[: count - 6]
        assert len(made.classifier.unlike) == count, "none is as long as a released one"


def test_descriptions_of_the_released_lengths_need_no_remark(model, tmp_path):
    lengths = (16, 21, 17, 18, 16, 17, 18)
    write_dfer(tmp_path / "w.pth", dfer_state(model[0], tuple(" ".join(["face"] * n) for n in lengths)))
    made = convert("dfer-clip", tmp_path / "w.pth")
    assert made.classifier is not None
    assert made.classifier.unlike == ()


def test_the_command_says_what_it_wrote_and_what_it_read(released, architectures, tmp_path):
    file, runner = released(), CliRunner()
    (tmp_path / "mine.json").write_text(json.dumps({"happy": ["a wide smile."], "sad": ["x"], "neutral": ["y"]}))
    typed = ["weights", "convert", "dfer-clip", str(file), "--classes", "happy,sad,neutral"]
    done = runner.invoke(app, [*typed, "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["names"] == [f"tiny-quickgelu@{file.with_suffix('.safetensors')}"]
    assert said["classifier"]["path"] == str(tmp_path / "DFEW-set3-head.safetensors")
    assert said["classifier"]["prompts"]["happiness"] == "a wide smile ."
    assert "sadness: the corners of the mouth point down ." in runner.invoke(app, typed).output
    refused = runner.invoke(app, [*typed, "--prompts", str(tmp_path / "mine.json")])
    assert refused.exit_code == 2
    assert "--prompts mine: the prompt of sadness in" in refused.output


def test_what_says_something_of_a_classifier_is_unused_where_there_is_none(model, tmp_path, architectures):
    torch.save(model[0].state_dict(), tmp_path / "w.pt")
    typed = ["weights", "convert", "clip", str(tmp_path / "w.pt"), "--classes", "a,b", "--prompts", "P-3", "--json"]
    done = CliRunner().invoke(app, typed)
    assert done.exit_code == 0, done.output
    assert "classifier" not in json.loads(done.stdout)
    for said in ("--classes a,b", "--prompts P-3"):
        assert f"note: {said}: files of clip hold no classifier, so it changes nothing" in done.stderr
