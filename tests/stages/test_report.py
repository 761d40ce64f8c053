"""The page of evaluations: what is on it, what is refused, and that names do nothing."""

import csv
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import expclip
import numpy as np
import pytest
from evaluations_by_hand import evaluation, manifest, write_evaluation
from expclip import UsageError
from expclip.cache.run_note import NOTES
from expclip.reports.page import libraries
from expclip.reports.page.page import GENERATOR
from expclip.reports.read_scores import read_scores

SCORING = {"clip": "miniature", "prompts": "P-1"}
HOSTILE = "</script><img src=x onerror=\"document.title='owned'\">\u202e\x1b[31m<!--"


@pytest.fixture
def results(tmp_path) -> Path:
    """Three heads on two data sets, the second with folds."""
    found = evaluation([manifest("raf-db", 60), manifest("mafw", 90, folds=3)], heads=2, seeds=2)
    return write_evaluation(tmp_path / "results", found)


@pytest.fixture
def head(lab, labelled):
    """A linear probe for the labelled faces, in the cache."""
    lab.extract(labelled, features="clip_image", clip="miniature")
    lab.fit_head(labelled, head="linear-probe", clip="miniature", seed=1)


def on_page(page: Path) -> dict:
    """What the scripts of a page show."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(encoding="utf-8"))
    assert found
    return json.loads(found[1])


class Text(HTMLParser):
    """The tags of a page and its texts, without styles and scripts."""

    def __init__(self, page: Path):
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.attributes: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data):
        if self.tags and self.tags[-1] not in ("style", "script"):
            self.texts.append(data)


def text_of(page: Path) -> str:
    return " ".join(" ".join(Text(page).texts).split())


def rows_of(grid: dict) -> list[dict]:
    return [dict(zip(grid["columns"], row, strict=True)) for row in grid["rows"]]


def test_scores_come_back_as_they_were_written(tmp_path):
    written = evaluation([manifest("raf-db", 60), manifest("mafw", 90, folds=3)], heads=1, seeds=2)
    found = read_scores(write_evaluation(tmp_path / "out", written)).scores
    assert [(one.of, one.fold, one.n) for one in found] == [(one.of, one.fold, one.n) for one in written.scores]
    for one, other in zip(found, written.scores, strict=True):
        assert (one.uar, one.war) == pytest.approx((other.uar, other.war), abs=1e-4)
        assert one.certainty.score.uar.low == pytest.approx(other.certainty.score.uar.low, abs=1e-4)
        if other.is_overall:
            assert one.classes == other.classes
            np.testing.assert_allclose(one.recall, other.recall, atol=1e-6)
            np.testing.assert_array_equal(one.confusion, other.confusion)


def test_the_table_has_every_score_and_the_best_of_a_data_set_is_bold(results, tmp_path):
    page = expclip.report(results, out=tmp_path / "r.html")
    with (results / "scores.csv").open(newline="", encoding="utf-8") as file:
        expected = list(csv.DictReader(file))
    grid = on_page(tmp_path / "r.html")["grids"]["scores"]
    rows = rows_of(grid)
    assert [row["UAR"] for row in rows] == pytest.approx([float(row["uar"]) for row in expected], abs=1e-4)
    assert page.scores == len(expected)
    place = grid["columns"].index("UAR")
    for dataset, fold in (("raf-db", "all"), ("mafw", "mean")):
        of = [k for k, row in enumerate(expected) if (row["dataset"], row["fold"]) == (dataset, fold)]
        best = max(of, key=lambda k: float(expected[k]["uar"]))
        assert [k for k in of if place in grid["bold"].get(str(k), [])] == [best]


def test_the_samples_are_those_that_the_best_head_repaired_or_broke(results, tmp_path):
    expclip.report(results, out=tmp_path / "r.html")
    rows = [row for row in rows_of(on_page(tmp_path / "r.html")["grids"]["samples"]) if row["data set"] == "raf-db"]
    table = expclip.read_results(results).predictions["raf-db"].to_pylist()
    scores = [row for row in expclip.read_results(results).scores.to_pylist() if row["dataset"] == "raf-db"]
    means = {}
    for row in scores:
        if row["head"] != "none":
            means.setdefault(row["instruction"], []).append(row["uar"])
    best = max(means, key=lambda name: np.mean(means[name]))
    first = min((row for row in scores if row["instruction"] == best), key=lambda row: row["seed"])["head_id"]
    was = {row["sample"]: row for row in table if row["head"] == "none"}
    now = {row["sample"]: row for row in table if row["head_id"] == str(first).zfill(12)}
    assert len(rows) == len(was) == 60
    for row in rows:
        before, after = (one[row["sample"]] for one in (was, now))
        right = (before["predicted"] == before["label"], after["predicted"] == after["label"])
        names = {(False, True): "repaired", (True, False): "broken", (True, True): "right in both"}
        assert row["change"] == names.get(right, "wrong in both")
        assert (row["true"], row["without a head"], row["with the head"]) == (
            before["label"],
            before["predicted"],
            after["predicted"],
        )


def test_several_evaluations_are_told_apart_and_one_that_is_given_twice_is_shown_once(results, tmp_path, capsys):
    write_evaluation(tmp_path / "more" / "results", evaluation([manifest("ferplus", 50)]))
    given = (results, tmp_path / "more" / "results", tmp_path / "more" / ".." / "results")
    page = expclip.report(given, out=tmp_path / "r.html")
    assert "given twice" in capsys.readouterr().err
    assert page.evaluations == 2
    rows = rows_of(on_page(tmp_path / "r.html")["grids"]["scores"])
    assert {(row["evaluation"], row["data set"]) for row in rows} == {
        ("results", "raf-db"),
        ("results", "mafw"),
        ("results-2", "ferplus"),
    }


@pytest.mark.parametrize(
    "name", [HOSTILE, "<b>bold</b> & <a href='javascript:alert(1)'>", "=1+1", "x" * 10_000, "\u2028"]
)
def test_names_are_text_whatever_they_say(tmp_path, name):
    ids = [f"{name}{number}" for number in range(40)]
    of = manifest(name, 40, [f"{name}{k}" for k in range(3)], ids)
    plain = write_evaluation(tmp_path / "plain", evaluation([manifest("plain", 40, ("a", "b", "c"))]))
    folder = write_evaluation(tmp_path / "results", evaluation([of]))
    pages = [tmp_path / "0.html", tmp_path / "1.html"]
    for one, page in zip((plain, folder), pages, strict=True):
        expclip.report(one, out=page)
    expected, found = map(Text, pages)
    assert found.tags == expected.tags
    assert found.attributes == expected.attributes
    shown = pages[1].read_text(encoding="utf-8")
    assert not re.search("[\u202e\x1b\u2028]", shown.replace(libraries.charts_script(), ""))
    labels = [
        one["text"]
        for figure in on_page(pages[1])["charts"].values()
        for one in figure["layout"].get("annotations", [])
    ]
    labels += on_page(pages[1])["charts"]["0-recall"]["layout"]["yaxis"]["ticktext"]
    assert not any("<" in label for label in labels)


def test_what_it_is_made_from_is_on_the_page(lab, head, labelled, tmp_path):
    lab.evaluate(labelled, **SCORING, out=tmp_path / "out")
    lab.report(tmp_path / "out", out=tmp_path / "r.html")
    text = text_of(tmp_path / "r.html")
    (store,) = (one for one in lab.cache.stores("labelled"))
    assert store.path.stem in text
    assert store.header.spec["weights"]["sha256"] in text
    assert "protocol released" in text
    assert "42, 0 of them failed" in text
    assert "expclip evaluate" in text


def test_failed_rows_are_on_the_page(lab, labelled, tmp_path):
    shutil.copytree(labelled, tmp_path / "faces")
    broken = sorted((tmp_path / "faces" / "anger").iterdir())[0]
    broken.write_bytes(b"no picture")
    lab.evaluate(tmp_path / "faces", **SCORING, out=tmp_path / "out")
    lab.report(tmp_path / "out", out=tmp_path / "r.html")
    text = text_of(tmp_path / "r.html")
    assert f"anger/{broken.name}:" in text
    assert "1 of faces" in text


def test_samples_have_pictures_as_far_as_they_are_there(lab, head, labelled, tmp_path):
    faces = tmp_path / "faces"
    shutil.copytree(labelled, faces)
    lab.evaluate(faces, **SCORING, out=tmp_path / "out")
    assert lab.report(tmp_path / "out", out=tmp_path / "r.html").pictures > 1
    grid = on_page(tmp_path / "r.html")["grids"]["samples"]
    changed = [row for row in rows_of(grid) if row["change"] in ("repaired", "broken")]
    assert {row["picture"] for row in changed} == set(range(len(changed)))
    assert lab.report(tmp_path / "out", out=tmp_path / "r.html", pictures=1).pictures == 1
    assert lab.report(tmp_path / "out", out=tmp_path / "r.html", pictures=0).pictures == 0
    (faces / changed[0]["sample"]).unlink()
    lab.report(tmp_path / "out", out=tmp_path / "r.html")
    rows = rows_of(on_page(tmp_path / "r.html")["grids"]["samples"])
    assert [row["picture"] for row in rows if row["sample"] == changed[0]["sample"]] == ["gone"]


def test_without_the_cache_of_the_evaluation_the_page_says_why_it_has_no_pictures(lab, head, labelled, tmp_path):
    lab.evaluate(labelled, **SCORING, out=tmp_path / "out")
    assert lab.but(cache=tmp_path / "another").report(tmp_path / "out", out=tmp_path / "r.html").pictures == 0
    assert f"No pictures of labelled: the cache {tmp_path / 'another'} does not know where" in text_of(
        tmp_path / "r.html"
    )


def test_an_evaluation_writes_its_page_at_once(lab, head, labelled, tmp_path):
    lab.evaluate(labelled, **SCORING, out=tmp_path / "out", report=tmp_path / "now.html")
    lab.report(tmp_path / "out", out=tmp_path / "later.html")
    assert on_page(tmp_path / "now.html") == on_page(tmp_path / "later.html")


def test_a_page_that_cannot_be_written_is_refused_before_anything_is_made(lab, labelled, tmp_path, work):
    (tmp_path / "mine.html").write_text("mine")
    for how, said in (
        ({"report": tmp_path / "r.html"}, "give out a folder"),
        ({"report": tmp_path, "out": tmp_path / "out"}, "a file is needed"),
        ({"report": tmp_path / "mine.html", "out": tmp_path / "out"}, "no page of expclip's"),
    ):
        with pytest.raises(UsageError, match=said):
            lab.evaluate(labelled, **SCORING, **how)
    assert not work
    assert (tmp_path / "mine.html").read_text() == "mine"


def test_without_the_libraries_one_line_says_what_to_install(results, tmp_path, monkeypatch):
    monkeypatch.setattr(libraries, "find_spec", lambda name: None if name == "plotly" else object())
    with pytest.raises(UsageError, match=r"the page needs plotly: run `pip install 'expclip\[report\]'`"):
        expclip.report(results, out=tmp_path / "r.html")


def test_a_page_takes_the_place_of_a_page_and_of_nothing_else(results, tmp_path):
    page = tmp_path / "deep" / "r.html"
    expclip.report(results, out=page)
    before = page.read_bytes()
    assert before.startswith(GENERATOR.encode())
    expclip.report(results, out=page)
    with pytest.raises(UsageError, match=r"scores.csv: this file is no page"):
        expclip.report(results, out=results / "scores.csv")
    with pytest.raises(UsageError, match="a file is needed"):
        expclip.report(results, out=results)


@pytest.mark.parametrize(
    ("path", "said"),
    [("nowhere", "there is no such folder"), ("file", "this is no folder"), ("empty", "no results of an evaluation")],
)
def test_what_is_no_folder_of_results_is_refused(tmp_path, path, said):
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=said):
        expclip.report(tmp_path / path, out=tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


@pytest.mark.parametrize("file", ["scores.csv", "confusion.npz", "predictions/raf-db.parquet"])
@pytest.mark.parametrize("how", ["torn", "empty", "noise"])
def test_damaged_results_are_one_line_and_leave_the_page_of_before(results, tmp_path, file, how):
    (tmp_path / "r.html").write_text(GENERATOR)
    content = (results / file).read_bytes()
    noise = bytes(np.random.default_rng(0).integers(0, 256, len(content), dtype=np.uint8))
    (results / file).write_bytes({"torn": content[: len(content) // 2], "empty": b"", "noise": noise}[how])
    with pytest.raises(UsageError, match=r"these results cannot be read .*: evaluate again"):
        expclip.report(results, out=tmp_path / "r.html")
    assert (tmp_path / "r.html").read_text() == GENERATOR


def test_results_of_older_versions_are_shown_as_far_as_they_go(results, tmp_path):
    shutil.rmtree(results / "predictions")
    for name in NOTES:
        (results / name).unlink(missing_ok=True)
    with (results / "scores.csv").open(newline="", encoding="utf-8") as file:
        rows = [
            {name: value for name, value in row.items() if not re.search("_low|_high|_gain|intervals", name)}
            for row in csv.DictReader(file)
        ]
    with (results / "scores.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    page = expclip.report(results, out=tmp_path / "r.html")
    assert (page.scores, page.samples) == (len(rows), 0)
    text = text_of(tmp_path / "r.html")
    assert "No samples are known" in text
    assert "an older version wrote it" in text
    assert "No gain over plain CLIP is known" in text
    found = read_scores(results).scores
    assert found[0].classes == tuple(name.removeprefix("recall_") for name in rows[0] if name.startswith("recall_"))


def test_untrained_models_are_announced(tmp_path):
    found = evaluation([manifest("raf-db", 40)])
    scores = [replace(one, of=replace(one.of, untrained=True)) for one in found.scores]
    write_evaluation(tmp_path / "out", replace(found, scores=scores))
    expclip.report(tmp_path / "out", out=tmp_path / "r.html")
    assert "Warning: untrained weights" in text_of(tmp_path / "r.html")


def test_a_page_of_two_thousand_scores_and_forty_thousand_samples_is_small(tmp_path):
    sets = [manifest(f"set-{k}", 5350, ids=[f"clips/part {k}/{n:06d}.mp4" for n in range(5350)]) for k in range(8)]
    how = {"heads": 6, "seeds": 3, "prompts": [f"P-{k}" for k in range(1, 6)], "backbones": ("B-32", "B-16", "L-14")}
    folder = write_evaluation(tmp_path / "out", evaluation(sets, **how, predicted=4))
    page = expclip.report(folder, out=tmp_path / "r.html")
    assert (page.scores, page.samples) == (2280, 42_800)
    assert page.bytes < 20e6
