"""Which heads are scored where: those that match, on whichever backbones they fit, each once."""

import json
from pathlib import Path

import numpy as np
import pytest
from expclip import UsageError
from expclip.cli import app
from expclip.heads import kinds
from expclip.heads.kinds import Kind, Trainer
from typer.testing import CliRunner

BOTH = ["miniature", "ViT-S-32-alt@random"]
SCORING = {"clip": "miniature", "prompts": "P-1"}
TAUGHT = {"teacher": "miniature", "seed": [1, 2], "epochs": 1, "batch_size": 16}


@pytest.fixture
def fitted(lab, photos):
    """Cards of linear heads of two backbones and two seeds, and of a ridge head of the miniature."""
    lab.extract(photos, clip=BOTH, teacher="miniature")
    linear = lab.fit_head(photos, clip=BOTH, **TAUGHT)
    (ridge,) = lab.fit_head(photos, clip="miniature", **TAUGHT, head="ridge")
    return [one.card for one in (*linear, ridge)]


def scored(found) -> list[tuple[str, str, int | None]]:
    return [(one.of.backbone, one.of.head, one.of.seed) for one in found.scores]


def of(fitted, backbone: str, **said) -> list:
    cards = [card for card in fitted if card.backbone == backbone]
    return [card for card in cards if all(getattr(card, name) == value for name, value in said.items())]


def test_all_that_match_are_scored_under_the_backbone_they_fit(lab, fitted, labelled):
    mini, alt = "miniature", "ViT-S-32-alt@random"
    found = lab.evaluate(labelled, clip=BOTH, prompts="P-1", head=["none", "seed=1"])
    assert scored(found) == [(mini, "none", None), (mini, "linear", 1), (alt, "none", None), (alt, "linear", 1)]
    found = lab.evaluate(labelled, clip=BOTH, prompts="P-1", head="kind=linear,seed=2")
    assert scored(found) == [(mini, "linear", 2), (alt, "linear", 2)]


def test_several_selectors_are_a_union_in_their_order_with_each_head_once(lab, fitted, labelled):
    (ridge,), (first, second) = of(fitted, "miniature", head="ridge"), of(fitted, "miniature", head="linear")
    selectors = ["seed=2", ridge.id[:8], "kind=linear", str(lab.cache.heads / first.id), "seed=2"]
    found = lab.evaluate(labelled, **SCORING, head=selectors)
    assert [one.of.head_id for one in found.scores] == [second.id, ridge.id, first.id]


def test_a_head_that_fits_one_of_two_backbones_is_scored_there_and_nothing_made_for_the_other(
    lab, fitted, labelled, work, capsys
):
    (ridge,) = of(fitted, "miniature", head="ridge")
    work.clear()
    found = lab.evaluate(labelled, clip=BOTH, prompts="P-1", head=ridge.id)
    assert scored(found) == [("miniature", "ridge", None)]
    assert work["ImageTower inputs"] == 42
    assert work["ImageTower loaded"] == work["TextTower loaded"] == 1
    said = capsys.readouterr().err
    assert "note: labelled under ViT-S-32-alt@random: left out, as none of the heads fits" in said


def test_a_backbone_without_a_head_is_not_encoded_where_only_a_head_leads_to_the_llm(
    lab, photos, labelled, work, capsys
):
    lab.extract(photos, clip="miniature", teacher="miniature")
    lab.fit_head(photos, clip="miniature", **TAUGHT)
    work.clear()
    found = lab.evaluate(labelled, clip=BOTH, prompts="P-1", text="llm")
    assert scored(found) == [("miniature", "linear", 1), ("miniature", "linear", 2)]
    assert work["ImageTower inputs"] == 42
    assert "note: labelled under ViT-S-32-alt@random: left out" in capsys.readouterr().err


def test_figures_are_of_the_backbones_that_a_head_fits(lab, fitted, labelled, tmp_path):
    lab.evaluate(labelled, clip=BOTH, prompts="P-1")
    drawn = lab.figures(labelled, clip=BOTH, prompts="P-1", head="kind=ridge", kind="variance", out=tmp_path)
    assert {path.stem for path in drawn} == {"variance-labelled-miniature"}


def test_one_selector_that_fits_nowhere_is_refused_beside_others_that_fit(lab, fitted, labelled, work):
    first, _ = of(fitted, "ViT-S-32-alt@random")
    lab.evaluate(labelled, **SCORING, head="kind=linear,seed=1")  # the miniature has such heads too
    work.clear()
    with pytest.raises(UsageError, match=f"head {first.id}: head {first.id} was trained on ViT-S-32-alt@random"):
        lab.evaluate(labelled, **SCORING, head=["none", "kind=ridge", first.id])
    with pytest.raises(UsageError, match=r"head kind=ridge: head .* was trained on miniature features"):
        lab.evaluate(labelled, clip="ViT-S-32-alt@random", head=["none", "kind=ridge"])
    with pytest.raises(UsageError, match=r"none of these 5 heads fits: head .* was trained on"):
        lab.evaluate(labelled, **SCORING, protocol="paper", head="teacher=miniature")
    assert not work


def test_heads_that_learnt_other_classes_are_scored_where_they_know_all(
    lab, labelled, tmp_path, save_face, monkeypatch
):
    class Constant:
        """Says the first class of everything."""

        def __init__(self, classes):
            self.classes, self.losses_ = tuple(classes), [0.0]

        def tensors(self):
            return {"nothing": np.zeros(1, dtype=np.float32)}

        def class_scores(self, samples):
            return np.eye(len(self.classes))[np.zeros(len(samples), dtype=int)]

    trainer = Trainer(
        lambda content, recipe, progress: Constant(content.classes), lambda _, spec: Constant(spec["classes"])
    )
    monkeypatch.setitem(kinds.KINDS, "first", Kind("", "labels", has_steps=False))
    monkeypatch.setattr(Kind, "trainer", trainer)
    pains = tmp_path / "pains"
    for name in ("happiness", "pain"):
        save_face(pains / name / "0.png", 1, 1)
    lab.extract([labelled, pains], clip="miniature")
    (one,) = lab.fit_head(labelled, clip="miniature", head="first")
    found = lab.evaluate([labelled, pains], **SCORING, head="objective=labels")
    assert [(score.of.dataset, score.of.head_id) for score in found.scores] == [("labelled", one.card.id)]
    with pytest.raises(UsageError, match=r"learnt the classes .*; pains has pain too: leave the head out"):
        lab.evaluate(pains, **SCORING, head="kind=first")
    with pytest.raises(UsageError, match="learnt from labels, and leads to no LLM"):
        lab.evaluate(labelled, **SCORING, head="kind=first", text="llm", teacher="miniature")


def test_the_configuration_file_may_choose_heads(lab, fitted, labelled, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("expclip.toml").write_text('[evaluate]\nhead = ["none", "kind=linear,seed=1"]\n', encoding="utf-8")
    words = ["evaluate", labelled, "--clip", "miniature", "--prompts", "P-1", "--cache", lab.cache.root, "--json"]
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    assert [row["head"] for row in json.loads(result.stdout)["scores"]] == ["none", "linear"]


def test_heads_are_chosen_by_the_path_that_they_were_trained_on(lab, photos, labelled, tmp_path):
    """Two train sets of one title are told apart by their paths, and by their folders of the cache."""
    miniature = {"clip": "miniature", "teacher": "miniature"}
    paths = [tmp_path / name / "photos" for name in ("a", "b")]
    for path, part in zip(paths, (slice(0, 20), slice(20, 40)), strict=True):
        path.mkdir(parents=True)
        for picture in sorted(photos.iterdir())[part]:
            (path / picture.name).write_bytes(picture.read_bytes())
        lab.extract(path, **miniature, instruction="related-1")
    fitted = [lab.fit_head(path, **miniature, seed=1, epochs=1, batch_size=8)[0].card for path in paths]
    assert fitted[0].train == "photos" != fitted[1].train
    for path, card in zip(paths, fitted, strict=True):
        for value in (path, card.train):
            found = lab.evaluate(labelled, clip="miniature", prompts="P-1", head=f"train={value}", intervals=False)
            assert [one.of.head_id for one in found.scores] == [card.id]
