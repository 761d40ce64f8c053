"""Table 1's other systems: which are computed, beside which published numbers, and why the others are not."""

import shlex

import numpy as np
import open_clip
import pytest
import torch
from expclip.cli import app
from expclip.encoders.names import clip_name, flava_name
from expclip.manifests import paper
from expclip.manifests.classes import CLASSES
from expclip.manifests.prompts import prompt_set
from expclip.reports.paper_tables import as_json, as_text
from lab import Lab
from sklearn.metrics import recall_score
from tiny_farl import TINY, tiny_clip, write_farl
from tiny_flava import tiny_flava, write_flava
from typed_commands import commands_in, request_of
from typer.testing import CliRunner

FARL, FLAVA = "FaRL (B/16)", "FLAVA"
PTH = "FaRL-Base-Patch16-LAIONFace20M-ep16.pth"
SAFE = "FaRL-Base-Patch16-LAIONFace20M-ep16.safetensors"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def faces(lab, labelled, here) -> Lab:
    """RAF-DB, of which the 42 labelled faces are the test part."""
    (here / "RAF-DB").mkdir()
    (here / "RAF-DB" / "test").symlink_to(labelled)
    return lab.but(root={"raf-db": here / "RAF-DB"}, test="raf-db")


@pytest.fixture
def published_farl(here, monkeypatch):
    """FaRL's file as it is downloaded, of a tiny B/16."""
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-B-16-quickgelu", TINY)
    write_farl(tiny_clip(), here / PTH)
    return here / PTH


@pytest.fixture(scope="module")
def flava_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flava") / "own-flava"
    write_flava(tiny_flava(), folder)
    return folder


def rows(done, method: str) -> list:
    return [row for table in done.tables for row in table.rows if row.row.method == method]


def make(lab: Lab, commands) -> None:
    """Run what a plan prints, on this data set."""
    for command in commands:
        words = shlex.split(command)[1:]
        words += ["--root", f"raf-db={lab.usual['root']['raf-db']}"] if words[0] in ("extract", "evaluate") else []
        done = CliRunner().invoke(app, [*words, *(["--device", "cpu"] if words[0] != "weights" else [])])
        assert done.exit_code == 0, done.output


def by_hand(lab: Lab, model: str, protocol: str) -> tuple[float, float]:
    """UAR and WAR with P-3, which has one prompt a class, from the arrays of a cache."""
    images = lab.open_features("raf-db", model=model, protocol=protocol)
    (texts,) = [one for one in lab.cache.find("text", "clip_text") if one.header.model == clip_or_flava(model)]
    sources = lab.cache.texts()[texts.header.rows_digest].rows.sources
    known = dict(zip(sources, texts.read().astype(np.float64), strict=True))
    e_t = np.stack([known[prompt_set("P-3").prompts[name][0]] for name in images.classes])
    e_i = images.array.astype(np.float64)
    found = (e_i @ (e_t / np.linalg.norm(e_t, axis=1, keepdims=True)).T).argmax(axis=1)
    uar = recall_score(images.labels, found, labels=range(7), average="macro", zero_division=0)
    return 100 * float(uar), 100 * float(np.mean(found == images.labels))


def clip_or_flava(model: str) -> str:
    return (flava_name if model.startswith("flava") else clip_name)(model).canonical


def test_farl_is_computed_by_the_commands_of_an_empty_cache(faces, published_farl):
    empty = faces.reproduce("1")
    commands = [step.command for step in empty.steps if "FaRL" in step.command]
    named = f"--clip farl-b16@{SAFE}"
    cache = f"--cache {faces.cache.root}"
    assert commands == [
        f"expclip weights convert farl {PTH}",
        f"expclip extract raf-db --features clip_image {named} {cache}",
        f"expclip evaluate raf-db {named} --prompts P-3 {cache}",
    ]
    make(faces, commands)
    done = faces.reproduce("1")
    steps = [step for step in done.steps if "FaRL" in step.command]
    assert [(step.have, step.of) for step in steps] == [(1, 1)] * 2
    (row,) = rows(done, FARL)
    (cell,) = row.cells
    assert (cell.uar[0], cell.war[0]) == pytest.approx(by_hand(faces, f"farl-b16@{SAFE}", "released"))
    assert cell.published == (24.98, 38.53)
    assert cell.difference == pytest.approx((cell.uar[0] - 24.98, cell.war[0] - 38.53))
    (other,) = rows(done, FLAVA)
    assert "raf-db has no complete clip_image" in other.cells[0].why_not


def test_a_file_of_another_name_is_found_by_its_features_wherever_it_lies(faces, published_farl, here):
    """And both where there are two: which of FaRL's files was published is not said."""
    (here / "weights").mkdir()
    for epoch in (16, 64):
        file = here / "weights" / f"ep{epoch}.safetensors"
        write_farl(tiny_clip(), here / PTH, **{"visual.ln_post.bias": torch.full((64,), float(epoch))})
        make(faces, [f"expclip weights convert farl {PTH} --out {file}"])
        faces.evaluate("raf-db", clip=f"farl-b16@{file}", prompts="P-3", head="none", intervals=False)
        file.unlink()
    found = rows(faces.reproduce("1"), FARL)
    assert [row.row.backbone for row in found] == ["farl-b16@ep16.safetensors", "farl-b16@ep64.safetensors"]
    assert all(row.cells[0].uar and row.cells[0].published == (24.98, 38.53) for row in found)
    assert not any("not here" in row.remark for row in found), "nothing needs the file"


def test_without_its_weights_the_row_says_where_they_come_from(lab, here):
    (row,) = rows(lab.reproduce("1", test="raf-db"), FARL)
    assert f"FaRL/releases and run `expclip weights convert farl {PTH}`" in row.remark
    assert f"`expclip extract raf-db --features clip_image --clip farl-b16@{SAFE}" in row.cells[0].why_not
    (here / SAFE).touch()
    (row,) = rows(lab.reproduce("1", test="raf-db"), FARL)
    assert "download" not in row.remark


@pytest.mark.parametrize("protocol", ["native", "released"])
def test_flava_is_computed_under_its_own_protocol_or_as_the_released_code(faces, flava_folder, protocol):
    name = f"flava@{flava_folder}"
    asked = {} if protocol == "native" else {"protocol": protocol}
    faces.evaluate("raf-db", clip=name, prompts="P-3", head="none", intervals=False, **asked)
    done = faces.reproduce("1", **asked)
    (row,) = rows(done, FLAVA)
    assert row.row.backbone == "flava@own-flava"
    (cell,) = row.cells
    assert (cell.uar[0], cell.war[0]) == pytest.approx(by_hand(faces, name, protocol))
    assert cell.published == (14.35, 38.69)
    assert "answer happiness always scores 28.43 on FERPlus and 18.77 on FERV39k" in row.remark
    _, notes = as_text(done.tables[0])
    assert any(row.remark in note for note in notes)
    other = {"protocol": "released"} if protocol == "native" else {}
    (without,) = rows(faces.reproduce("1", **other), FLAVA)
    assert not without.cells[0].uar, "features of another protocol are another row's"


def test_with_backbones_named_other_systems_are_those_that_are_named(lab):
    done = lab.reproduce("1", clip=["flava@random", "ViT-B-32"])
    assert [row.row.backbone for row in rows(done, FLAVA)] == ["flava@random"]
    assert [row.row.backbone for row in rows(done, paper.OURS)] == ["ViT-B-32"]
    (farl,) = rows(done, FARL)
    assert farl.cells[0].why_not == paper.NOT_ASKED
    assert farl.cells[0].published == (24.98, 38.53)
    assert not any("FaRL" in step.command for step in done.steps)
    assert not rows(lab.reproduce("1", clip="flava"), paper.OURS)


def test_untrained_weights_are_marked_and_only_shown_where_they_are_named(faces, published_farl, here):
    faces.evaluate("raf-db", clip="farl-b16@random", prompts="P-3", head="none", intervals=False)
    (table,) = faces.reproduce("1", clip="farl-b16@random").tables
    assert table.untrained
    assert any("untrained weights" in note for note in table.notes)
    (row,) = rows(faces.reproduce("1"), FARL)
    assert row.row.backbone == f"farl-b16@{SAFE}"


def test_each_system_that_no_cache_can_score_says_its_own_reason_beside_its_published_numbers(lab, here):
    (table,) = lab.reproduce("1").tables
    others = {row.row.method: row for row in table.rows if row.row.why_not}
    assert list(others) == ["BLIP2 (L/14)", "VideoCLIP", "XCLIP (B/32)"]
    assert others["VideoCLIP"].cells[4].published == (18.15, 17.52)
    reasons = {method: row.cells[4].why_not for method, row in others.items()}
    assert len(set(reasons.values())) == len(reasons)
    assert "3D network" in reasons["VideoCLIP"]
    assert "depend on the video" in reasons["XCLIP (B/32)"]


def test_every_command_of_every_table_can_be_typed(lab, here):
    done = lab.reproduce()
    said = [step.command for step in done.steps]
    for row in (row for table in done.tables for row in table.rows):
        said += commands_in("; ".join([row.remark, *(cell.why_not for cell in row.cells)]))
    assert len(set(said)) > 20
    assert sum("farl-b16@" in one or "convert farl" in one for one in set(said)) > 10
    for one in set(said):
        assert request_of(one).command() == one


def test_programs_are_told_the_backbone_of_each_row(lab, here):
    (table,) = lab.reproduce("1").tables
    content = as_json(table)
    found = {row["method"]: row["backbone"] for row in content["rows"] if row["method"] in (FARL, FLAVA)}
    assert found == {FARL: f"farl-b16@{SAFE}", FLAVA: "flava"}


def test_always_happiness_scores_what_is_published_of_flava():
    """Recall of one class of seven or eight, in percent, to both digits but one."""
    row = paper.RowOfPaper("1", FLAVA)
    for dataset, uar in (("ferplus", 100 / 8), ("dfew", 100 / 7), ("ferv39k", 100 / 7), ("afew", 100 / 7)):
        found = paper.published_score(row, dataset)
        assert found is not None
        assert found[0] == pytest.approx(uar, abs=0.01)
    assert CLASSES.index("happiness") == 0
