"""Evaluations that adapt to all test samples: what is marked, what is compared with what, what is refused."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from expclip import UsageError, read_results
from expclip.commands.evaluate import Evaluate
from expclip.commands.request import asked, checked
from expclip.manifests.classes import CLASSES

MINI = {"clip": "miniature", "prompts": "P-3"}
ALL = ["none", "prior", "center"]


@pytest.fixture
def faces(lab, labelled):
    lab.extract(labelled, clip="miniature")
    return labelled


@pytest.fixture
def folded(tmp_path, save_face):
    """A list of faces with a fold each."""

    def make(folds: list[int]) -> Path:
        lines = ["path,label,fold"]
        for k, fold in enumerate(folds):
            save_face(tmp_path / "folded" / f"{k}.png", 5, k, k % 7, size=32)
            lines.append(f"{k}.png,{k % 7},{fold}")
        (tmp_path / "folded" / "list.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")
        return tmp_path / "folded" / "list.csv"

    return make


def rows_of(path: Path) -> list[dict]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def softmax(logits: np.ndarray) -> np.ndarray:
    moved = np.exp(logits - logits.max(axis=1, keepdims=True))
    return moved / moved.sum(axis=1, keepdims=True)


def test_a_sweep_has_a_row_for_each_way_and_the_unadapted_one_stays_as_it_was(lab, faces):
    (usual,) = lab.evaluate(faces, **MINI).scores
    found = lab.evaluate(faces, **MINI, adapt=ALL)
    assert [(one.of.adapted, one.of.prior) for one in found.scores] == [
        ("", ""),
        ("prior", "uniform"),
        ("center", ""),
    ]
    assert (found.scores[0].of, found.scores[0].uar) == (usual.of, usual.uar)
    of_prior = found.predictions[1].similarity
    np.testing.assert_allclose(softmax(100 * of_prior).mean(axis=0), 1 / 7, atol=1e-6)


def test_every_place_where_a_score_appears_says_which_rows_are_adapted(lab, faces, tmp_path):
    lab.evaluate(faces, **MINI, adapt=ALL, out=tmp_path / "out", figures=True)
    text = (tmp_path / "out" / "tables.md").read_text(encoding="utf-8")
    parts = text.split("\n## ")[1:]
    assert len(parts) == 3
    for part in parts:
        rows = [line for line in part.splitlines() if line.startswith("| plain CLIP")]
        marked = {mark: sum(f"{mark}, transductive" in row for row in rows) for mark in ("prior", "center")}
        assert marked["prior"] == marked["center"] == len(rows) // (2 if "adds" in part else 3)
        assert "transductive: such a row looked at all test samples together" in part
    rows = rows_of(tmp_path / "out" / "scores.csv")
    assert [(row["adapted"], row["prior"]) for row in rows] == [("", ""), ("prior", "uniform"), ("center", "")]
    table = read_results(tmp_path / "out").predictions["labelled"].to_pydict()
    assert [list(table["adapted"]).count(way) for way in ("", "prior", "center")] == [42] * 3
    names = sorted(path.stem for path in (tmp_path / "out" / "figures").glob("*.png"))
    ways = ("center-P-3", "P-3", "prior-P-3")
    assert names == sorted(f"labelled-miniature-none-{way}" for way in ways)
    lab.evaluate(faces, **MINI, adapt=ALL, out=tmp_path / "csv", predictions="csv")
    assert {row["adapted"] for row in rows_of(tmp_path / "csv" / "predictions.csv")} == {"", "prior", "center"}


def test_results_without_adaptation_have_no_word_of_it(lab, faces, tmp_path):
    """As those of earlier versions, which are read as they were."""
    lab.evaluate(faces, **MINI, out=tmp_path / "out")
    assert "adapted" not in (tmp_path / "out" / "scores.csv").read_text(encoding="utf-8")
    assert "transductive" not in (tmp_path / "out" / "tables.md").read_text(encoding="utf-8")
    found = read_results(tmp_path / "out")
    assert "adapted" not in [*found.scores.column_names, *found.predictions["labelled"].column_names]


def test_gains_are_over_plain_clip_as_it_is_and_over_the_same_without_adaptation(lab, faces, photos, tmp_path):
    taught = {"clip": "miniature", "teacher": "miniature"}
    lab.extract(photos, **taught)
    lab.fit_head(train=photos, **taught, seed=1, epochs=2, batch_size=16)
    found = lab.evaluate(faces, **MINI, adapt=["prior", "none"], out=tmp_path / "out").scores
    by = {(one.of.head, one.of.adapted): one for one in found}
    assert len(by) == 4
    for head in ("none", "linear"):
        one, plain, same = by[head, "prior"], by["none", ""], by[head, ""]
        assert one.certainty.gain.war.low <= one.war - plain.war <= one.certainty.gain.war.high
        assert one.certainty.adaptation.war.low <= one.war - same.war <= one.certainty.adaptation.war.high
        assert same.certainty.adaptation is None
    rows = rows_of(tmp_path / "out" / "scores.csv")
    gains = {(row["head"], row["adapted"]): row["war_adapted_gain"] for row in rows}
    assert {place: gain != "" for place, gain in gains.items()} == {place: place[1] != "" for place in gains}
    alone = lab.evaluate(faces, **MINI, adapt="prior").scores  # what gains are over need not be a row
    assert [one.certainty for one in alone] == [by[one.of.head, "prior"].certainty for one in alone]


def test_each_fold_adapts_by_itself(lab, folded):
    one = folded([1] * 21 + [2] * 14)
    lab.extract(one, clip="miniature")
    found = lab.evaluate(one, **MINI, adapt="prior")
    (predictions,) = found.predictions
    folds = predictions.manifest.folds[predictions.samples]
    for fold in (1, 2):
        mean = softmax(100 * predictions.similarity[folds == fold]).mean(axis=0)
        np.testing.assert_allclose(mean, 1 / 7, atol=1e-6)
    assert [score.fold for score in found.scores] == ["1", "2", "mean"]


def test_either_side_of_the_llm_adapts_too(lab, faces, photos):
    taught = {"clip": "miniature", "teacher": "miniature"}
    lab.extract([photos, faces], **taught)
    lab.fit_head(train=photos, **taught, seed=1, epochs=2, batch_size=16)
    sides = {"teacher": "miniature", "image": ["clip", "llm"], "text": ["clip", "llm"]}
    found = lab.evaluate(faces, **MINI, **sides, adapt=ALL).predictions
    assert len(found) == 3 * 5
    for one in found:
        assert np.isfinite(one.similarity).all()
        if one.of.adapted == "prior":
            np.testing.assert_allclose(softmax(100 * one.similarity).mean(axis=0), 1 / 7, atol=1e-6)


def test_heads_from_labels_are_matched_and_left_out_of_centring(lab, faces, capsys):
    lab.fit_head(faces, clip="miniature", head=["linear-probe", "tip-adapter"], seed=1)
    found = lab.evaluate(faces, **MINI, adapt=ALL)
    ways = [(one.of.head, one.of.adapted) for one in found.scores]
    every = [(head, way) for head in ("none", "linear-probe", "tip-adapter") for way in ALL]
    assert sorted(ways) == sorted(
        (head, way.replace("none", "")) for head, way in every if head == "none" or way != "center"
    )
    said = [line for line in capsys.readouterr().err.splitlines() if "center" in line]
    assert len(said) == 2
    assert all("learnt from labels" in line and line.endswith("left out of center") for line in said)
    for one in found.predictions:
        if one.of.adapted == "prior" and one.of.head != "none":
            np.testing.assert_allclose(softmax(one.similarity).mean(axis=0), 1 / 7, atol=1e-6)
    with pytest.raises(UsageError, match=r"adapt center: head .* learnt from labels.*: choose other heads"):
        lab.evaluate(faces, **MINI, head="kind=linear-probe", adapt="center")


@pytest.mark.parametrize("way", ["prior", "center"])
def test_one_class_is_refused_before_anything_is_encoded(lab, tmp_path, save_face, work, way):
    for k in range(3):
        save_face(tmp_path / "glad" / "happiness" / f"{k}.png", 1, k, 0)
    with pytest.raises(
        UsageError, match=f"adapt {way}: two classes or more are expected, and glad has happiness alone"
    ):
        lab.evaluate(tmp_path / "glad", **MINI, classes="happiness", adapt=way)
    assert not work


def test_a_fold_of_one_sample_is_refused_before_anything_is_encoded(lab, folded, work):
    one = folded([1] * 14 + [2])
    with pytest.raises(UsageError, match="adapt center: fold 2 of list has 1 sample with a label"):
        lab.evaluate(one, **MINI, adapt="center")
    assert not work


def test_a_class_without_samples_adapts_like_any_other(lab, tmp_path, save_face):
    for k in range(12):
        save_face(tmp_path / "some" / CLASSES[k % 3] / f"{k}.png", 1, k, k % 3)
    named = {"classes": ",".join(CLASSES[:5])}
    found = lab.evaluate(tmp_path / "some", **MINI, **named, adapt=["prior", "center"])
    np.testing.assert_allclose(softmax(100 * found.predictions[0].similarity).mean(axis=0), 1 / 5, atol=1e-6)
    assert len(found.scores) == 2


EVEN = dict.fromkeys(CLASSES[:7], 1 / 7)


@pytest.mark.parametrize(
    ("prior", "said"),
    [
        (EVEN | {"fear": 0}, r"prior 'fear=0': give CLASS=SHARE, with a share from 0.0001 to 1"),
        (EVEN | {"fear": -0.1}, r"prior 'fear=-0.1': give CLASS=SHARE"),
        (EVEN | {"fear": 0.9}, r"the shares sum to 1.7\d*, and expected is 1"),
        ("happiness=half", "prior 'happiness=half': give CLASS=SHARE"),
        ("0.5,0.5", "prior '0.5': give CLASS=SHARE"),
        ("happiness=nan", "prior 'happiness=nan': give CLASS=SHARE"),
        ("fear=0.5,fear=0.5", "fear has a share already"),
        (
            "happiness=0.5,sadness=0.5",
            "a share of each class of labelled is expected, which has happiness, .* fear; ",
        ),
    ],
)
def test_a_prior_that_cannot_be_meant_is_one_line(lab, labelled, work, prior, said):
    with pytest.raises(UsageError, match=said):
        lab.evaluate(labelled, **MINI, adapt="prior", prior=prior)
    assert not work


def test_a_given_prior_is_matched_and_said(lab, faces, tmp_path):
    shares = dict(zip(CLASSES, [0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1], strict=False))
    typed = ",".join(f"{name}={share}" for name, share in shares.items())
    (one,) = lab.evaluate(faces, **MINI, adapt="prior", prior=typed, out=tmp_path / "out").predictions
    (other,) = lab.evaluate(faces, **MINI, adapt="prior", prior=dict(reversed(shares.items()))).predictions
    np.testing.assert_allclose(softmax(100 * one.similarity).mean(axis=0), list(shares.values()), atol=1e-6)
    np.testing.assert_array_equal(one.similarity, other.similarity)
    (row,) = rows_of(tmp_path / "out" / "scores.csv")
    assert row["prior"] == typed
    assert "given prior, transductive" in (tmp_path / "out" / "tables.md").read_text(encoding="utf-8")


def test_a_prior_that_changes_nothing_is_said_once(lab, faces, capsys):
    lab.evaluate(faces, **MINI, prior=EVEN)
    said = [line for line in capsys.readouterr().err.splitlines() if "so it changes nothing" in line]
    assert len(said) == 1
    assert said[0].startswith("note: prior happiness=")
    assert said[0].endswith(": nothing is adapted by prior, so it changes nothing")


def test_the_command_of_a_request_says_how_it_adapts():
    request = Evaluate(datasets="raf-db", adapt=["none", "prior"], prior={"happiness": 0.5, "fear": 0.5})
    assert "--adapt none --adapt prior --prior happiness=0.5 --prior fear=0.5" in request.command()
    (adapt,) = [one for one in asked(Evaluate) if one.name == "adapt"]
    with pytest.raises(UsageError, match="adapt 'middle': choose none, prior or center"):
        checked(adapt, "middle")


def test_json_rows_say_it_too(lab, faces, capsys, monkeypatch):
    from expclip.cli import app
    from typer.testing import CliRunner

    words = ["evaluate", str(faces), "--clip", "miniature", "--device", "cpu", "--prompts", "P-3", "--out", "none"]
    words += ["--cache", str(lab.cache.root), "--adapt", "none", "--adapt", "center"]
    done = CliRunner().invoke(app, [*words, "--json"])
    assert [row["adapted"] for row in json.loads(done.stdout)["scores"]] == ["", "center"]
    shown = CliRunner().invoke(app, words).stdout
    assert "plain CLIP · center, transductive" in shown
    assert "\ntransductive: such a row looked at all test samples together" in shown
