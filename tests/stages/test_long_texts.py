"""Texts that are longer than CLIP reads: what is cut is said, and nothing is scored that cannot be told apart."""

import json

import pytest
from expclip import UsageError
from expclip.manifests.classes import CLASSES

LONG = "a photo of a face " * 40
SCORING = {"clip": "miniature", "intervals": False}


@pytest.fixture
def prompts(tmp_path):
    """Writes a prompt file with one prompt a class, made from the class's name."""

    def write(make, name="mine"):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps({name: [make(name)] for name in CLASSES}), encoding="utf-8")
        return str(path)

    return write


def test_classes_whose_prompts_differ_only_in_what_is_cut_are_refused_before_any_image(
    lab, labelled, prompts, work, decoded
):
    with pytest.raises(UsageError) as refused:
        lab.evaluate(labelled, **SCORING, prompts=prompts(lambda name: f"{LONG}of {name}"))
    assert "mine: happiness and sadness have the same embedding by miniature" in str(refused.value)
    assert "they differ only behind the 40 tokens that it reads: say first what differs" in str(refused.value)
    assert not decoded
    assert not work


def test_what_is_cut_is_said_with_class_and_prompt_also_when_it_comes_from_the_cache(
    lab, labelled, prompts, work, capsys
):
    file = prompts(lambda name: f"{name}: {LONG}" if name in ("anger", "fear") else name)
    said = "mine: 2 texts are longer than the 40 tokens that miniature reads: the rest is cut (first: anger: anger: a"
    lab.evaluate(labelled, **SCORING, prompts=file)
    assert said in " ".join(capsys.readouterr().err.split())
    work.clear()
    lab.evaluate(labelled, **SCORING, prompts=file)
    assert said in " ".join(capsys.readouterr().err.split())
    assert not work


def test_classes_with_one_prompt_are_refused_also_where_it_is_cached(lab, labelled, prompts, tmp_path):
    lab.evaluate(labelled, **SCORING, prompts=prompts(lambda name: f"an expression of {name}."))
    alike = prompts(lambda name: "an expression of fear." if name == "anger" else f"an expression of {name}.")
    with pytest.raises(UsageError, match=r"have the same embedding .* give them prompts of different words"):
        lab.evaluate(labelled, **SCORING, prompts=alike, cached_only=True)


@pytest.fixture
def described(lab, photos, labelled, tmp_path):
    """Draws retrieval of two samples by their descriptions."""
    lab.evaluate(labelled, **SCORING, prompts="P-1")

    def draw(*texts):
        file = tmp_path / "descriptions.csv"
        ids = lab.cache.current_manifest("labelled").sample_ids
        lines = [f"{sample},{text}\n" for sample, text in zip(ids, texts, strict=False)]
        file.write_text("".join(["sample_id,text\n", *lines]), encoding="utf-8")
        lab.figures(
            labelled, clip="miniature", prompts="P-1", kind="retrieval", descriptions=file, out=tmp_path / "f"
        )

    return draw


def test_descriptions_that_differ_only_in_what_is_cut_are_refused(described):
    with pytest.raises(
        UsageError, match=r"descriptions\.csv:4: .* as that of .*descriptions\.csv:2: they differ only"
    ):
        described(f"{LONG} smiling", "a face", f"{LONG} weeping")


def test_a_description_that_is_cut_is_said_and_one_that_occurs_twice_is_sound(described, capsys):
    described(f"{LONG} smiling", "a face", "a face")
    said = " ".join(capsys.readouterr().err.split())
    assert "descriptions: 1 text is longer than the 40 tokens" in said
    assert "descriptions.csv:2: a photo" in said
