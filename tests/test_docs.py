"""What the documentation shows runs as it stands there."""

import re
import shutil
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import joblib
import numpy as np
import pytest
from expclip import UsageError
from expclip.commands import figures
from expclip.commands.heads import ListHeads
from expclip.encoders import families, names
from expclip.heads import kinds
from expclip.manifests import catalogue, paper
from expclip.manifests.faces import sets
from expclip.stages.heads import list_heads
from typed_commands import request_of

ROOT = Path(__file__).parent.parent


def blocks(page: str, language: str) -> list[tuple[str, str]]:
    """The blocks of a page in a language, each with its first line and the rest."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.findall(rf"^```{language}\n(.*?)\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)
    return [(first.removeprefix("# "), rest) for first, rest in found]


def module(path: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a file of the package out of a block."""
    name = "expclip." + path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    made = ModuleType(name)
    made.__package__ = name if path.endswith("__init__.py") else name.rpartition(".")[0]
    monkeypatch.setitem(sys.modules, name, made)
    exec(compile(code, path, "exec"), vars(made))


def entry(line: str, **known) -> dict:
    """A line of a table."""
    return eval("{" + line + "}", known)


@pytest.fixture
def extended(monkeypatch):
    """The package with everything that docs/extending.md adds."""
    tables = {}
    for where, code in blocks("docs/extending.md", "python"):
        path, _, table = where.partition(": ")
        if table:
            tables.setdefault(path, []).append(code)
        else:
            module(path, code, monkeypatch)
    (family,) = tables.pop("encoders/families.py")
    new = entry(family, Family=families.Family, ModelName=names.ModelName)
    monkeypatch.setattr(families, "FAMILIES", new | families.FAMILIES)
    for line in tables.pop("heads/kinds.py"):
        for name, kind in entry(line, Kind=kinds.Kind).items():
            monkeypatch.setitem(kinds.KINDS, name, kind)
    (figure,) = tables.pop("commands/figures.py")
    for name, target in entry(figure).items():
        monkeypatch.setitem(figures.KINDS, name, target)
    assert tables == {}


def test_an_encoder_family_extracts_and_scores(extended, lab, labelled):
    assert lab.extract(labelled, clip="grid").encoded == 42
    (score,) = lab.evaluate(labelled, clip="grid", prompts="P-1").scores
    assert (score.of.backbone, score.n) == ("grid", 42)
    stored = lab.cache.find("labelled", "clip_image")[0].read()
    assert stored.shape == (42, 48)
    assert 0 < stored.min() < stored.max() <= 1


def test_a_head_from_a_teacher_is_fitted_kept_and_scored(extended, lab, photos, labelled):
    miniature = {"clip": "miniature", "teacher": "miniature"}
    lab.extract(photos, **miniature)
    (fitted,) = lab.fit_head(train=photos, head="rotation", **miniature)
    (again,) = lab.fit_head(train=photos, head="rotation", **miniature)
    assert (fitted.is_new, again.is_new, fitted.card.id) == (True, False, again.card.id)
    scores = lab.evaluate(labelled, clip="miniature", prompts="P-3").scores
    assert [score.of.head for score in scores] == ["none", "rotation"]


def test_a_head_from_labels_learns_and_scores_clips_without_prompts(extended, lab, labelled, clips):
    lab.extract([labelled, clips], clip="miniature")
    (fitted,) = lab.fit_head(train=labelled, head="votes", clip="miniature")
    assert (fitted.card.objective, fitted.card.seed) == ("labels", None)
    found = lab.evaluate([labelled, clips], clip="miniature", prompts=["P-1", "P-3"])
    of_votes = [score for score in found.scores if score.of.head == "votes"]
    assert [score.of.prompts for score in of_votes] == ["labels", "labels"]
    assert of_votes[0].uar > 80  # it is scored on what it learnt from
    assert of_votes[1].n == 7


def test_a_head_from_labels_needs_labels_and_the_classes_that_it_learnt(extended, lab, labelled, photos, tmp_path):
    lab.extract([labelled, photos], clip="miniature")
    with pytest.raises(UsageError, match="photos has no labels: votes learns from them"):
        lab.fit_head(train=photos, head="votes", clip="miniature")
    lab.fit_head(train=labelled, head="votes", clip="miniature")
    shutil.copytree(labelled / "fear", tmp_path / "own" / "pain")
    shutil.copytree(labelled / "happiness", tmp_path / "own" / "relief")
    scores = lab.evaluate(tmp_path / "own", clip="miniature", prompts="P-1").scores
    assert [score.of.head for score in scores] == ["none"]  # of all heads, those that fit
    (_, card), *_ = list_heads(ListHeads(cache=lab.cache.root))
    with pytest.raises(UsageError, match=r"learnt the classes happiness, .*; own has pain, relief too"):
        lab.evaluate(tmp_path / "own", clip="miniature", prompts="P-1", head=card.id)


def test_a_data_set_of_the_catalogue_is_read(monkeypatch, lab, labelled, tmp_path):
    ((_, text),) = blocks("docs/extending.md", "toml")
    new = {name: catalogue.DataSet.model_validate(one) for name, one in tomllib.loads(text).items()}
    known = catalogue.catalogue() | new
    for place in (catalogue, sys.modules["expclip.pipeline.workspace"]):
        monkeypatch.setattr(place, "catalogue", lambda: known)
    shutil.copytree(labelled, tmp_path / "mine" / "test")
    mine = lab.but(root={"my-faces": tmp_path / "mine"})
    (score,) = mine.evaluate("my-faces", clip="miniature", prompts="P-1").scores
    assert (score.of.dataset, score.n, len(score.classes)) == ("my-faces", 42, 7)


def test_a_figure_is_drawn(extended, lab, labelled, tmp_path):
    lab.evaluate(labelled, clip="miniature", prompts="P-1")
    drawn = lab.figures(labelled, kind="counts", clip="miniature", prompts="P-1", out=tmp_path / "figures")
    assert [path.name for path in drawn] == ["counts-labelled-miniature.png", "counts-labelled-miniature.pdf"]
    assert all(path.stat().st_size > 1000 for path in drawn)


def test_the_notebook_example_of_the_readme_runs_as_it_stands(monkeypatch, tmp_path):
    counts = {"faces-train": 520, "faces-test": 16, "faces-clips": 3}
    small = {name: replace(one, count=counts[name]) for name, one in sets.SETS.items()}
    monkeypatch.setattr(sets, "SETS", small)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EXPCLIP_CACHE", raising=False)
    code = [f"{first}\n{rest}" for first, rest in blocks("README.md", "python")]
    assert len(code) == 1
    known: dict = {}
    with joblib.parallel_config(backend="threading"):
        exec(compile(code[0], "README.md", "exec"), known)
    assert known["faces"].array.shape == (520, 128)
    assert known["cosines"].shape[0] == 520
    assert np.isfinite(known["cosines"]).all()


ROWS = {
    "a name": "manifests/test_catalogue.py: test_a_split_may_be_named",
    "a title": "manifests/test_catalogue.py: test_a_path_is_called_by_its_last_part_and_never_like_something_else",
    "an identity": "stages/test_identity.py: test_links_and_ways_lead_to_one_data_set",
    "a folder of the cache": "stages/test_identity.py: test_a_title_that_belongs_to_another_gets_six_digits",
    "a path that is there": "stages/test_identity.py: test_whoever_comes_first_has_the_title",
    "a path that is gone": "stages/test_identity.py: test_what_is_gone_is_known_by_its_path_its_last_parts",
    "equal titles": "stages/test_same_titles.py: test_no_command_table_file_or_figure_merges_data_sets",
    "the root of a list": "stages/test_identity.py: test_a_list_is_known_with_the_root_that_it_was_read_with",
    "lists over the same images": "stages/test_identity.py: test_lists_over_the_same_images_share_stores",
    "labels": "stages/test_labels_again.py: test_a_corrected_label_encodes_nothing_and_changes_the_scores",
    "a row": "pipeline/test_copies.py: test_ten_images_added_to_a_thousand_encode_ten",
    "`extract --hash`": "stages/test_labels_again.py: test_a_file_replaced_by_one_of_its_size_is_noticed",
    "a class's name or a form of it": "manifests/test_classes.py: test_a_class_name_counts_in_any_case",
    "a number, `3`": "manifests/test_list_forms.py: test_numbers_stand_for_the_classes_that_the_user_names",
    "a looser word": "manifests/test_classes.py: test_the_rule_of_names_forms_and_looser_words",
    "any other word": "manifests/test_list_forms.py: test_words_that_are_no_common_classes_are_the_data_sets_own",
}
"""The tables of docs/datasets.md that say what words mean, by row, and where each row is tested."""


def test_every_row_of_the_tables_of_data_sets_and_classes_is_tested():
    page = (ROOT / "docs/datasets.md").read_text(encoding="utf-8")
    parts = [
        part.partition("\n\n## ")[0] for part in re.split("^## (?:Which data set|Classes).*$", page, flags=re.M)[1:]
    ]
    cells = [
        line.split("|")[1].partition(":")[0].strip() for part in parts for line in part.splitlines() if "|" in line
    ]
    assert [cell for cell in cells if cell not in ("", "---", "a word")] == list(ROWS)
    for file, _, test in (where.partition(": ") for where in ROWS.values()):
        assert f"\ndef {test}" in (ROOT / "tests" / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["security", "reliability"])
def test_each_line_on_hostile_input_names_a_test_that_is_there(page):
    text = (ROOT / f"docs/{page}.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| .+ \| \[(\S+)\]\(\.\./tests/\1\)::(\w+) \|$", text, re.M)
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(lines) == len([row for row in rows if not row.startswith(("| input", "| fault"))])
    for file, name in lines:
        assert re.search(rf"^ *def {name}\(", (ROOT / "tests" / file).read_text(encoding="utf-8"), re.M), (file, name)


PAGES = ["README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_console_block_can_be_typed(page):
    lines = "\n".join(f"{first}\n{rest}" for first, rest in blocks(page, "console")).splitlines()
    for line in lines:
        if line.startswith("expclip ") and "--help" not in line:
            assert request_of(line).command(), line


def test_the_page_of_systems_has_every_published_number_of_table_1_and_of_plain_clip():
    lines = (ROOT / "docs/systems.md").read_text(encoding="utf-8").splitlines()
    published = {line.split("|")[1].split("(")[0].strip(" *"): line for line in lines if line.startswith("| ")}
    sizes = {"ViT-B-32": "B/32", "ViT-B-16": "B/16", "ViT-L-14": "L/14"}
    names = {"BLIP2 (L/14)": "BLIP2, “L/14”", "FaRL (B/16)": "FaRL B/16", "XCLIP (B/32)": "X-CLIP B/32"}
    rows = [*paper.rows_of("1"), *(row for row in paper.rows_of("2") if not row.needs_head)]
    assert len(rows) == 13
    for row in rows:
        name = names.get(row.method, row.method) if row.is_other else f"{row.method} {sizes[row.backbone]}"
        found = [paper.published_score(row, dataset.lower()) for dataset in paper.DATASETS]
        said = " · ".join("{:.2f}/{:.2f}".format(*pair) if pair else "–" for pair in found)
        assert f"| {said} |" in published[name]
