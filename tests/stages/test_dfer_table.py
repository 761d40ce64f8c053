"""DFER-CLIP's table: what is published, and beside it what heads on a frozen CLIP score on their own folds."""

import json

import numpy as np
import pytest
from expclip import UsageError
from expclip.heads.saving import known_card, load_head
from expclip.manifests.dfer_paper import COLUMNS, COMPUTED, DFER_CLIP, FROZEN, published_rows
from expclip.manifests.paper import paper_tables, published_score
from expclip.reports.paper_tables import as_json, as_text
from expclip.scoring.samples import Samples
from lab import Lab
from sklearn.metrics import recall_score
from typed_commands import commands_in, request_of

HOW = {"head": "dfer-clip", "frames": "edge", "batch_size": 4, "epochs": 1}


@pytest.fixture(scope="module")
def made(tmp_path_factory, save_face) -> Lab:
    """35 clips as DFEW has them, with heads of two seeds on the miniature, and others that are not meant."""
    root = tmp_path_factory.mktemp("table") / "dfew"
    fold_of = {f"Clip/{k} {k % 7}": 1 + k // 7 for k in range(35)}
    for k, clip in enumerate(fold_of):
        for frame in range(2 + k % 3):
            save_face(root / clip / f"{frame}.png", 6, 5 * k + frame, k % 7, size=32)
    for fold in range(1, 6):
        for part in ("test", "train"):
            some = [clip for clip, of in fold_of.items() if (of == fold) == (part == "test")]
            lines = [f"{clip} {2 + list(fold_of).index(clip) % 3} {clip.rpartition(' ')[2]}" for clip in some]
            (root / f"dfew-{part}-{fold}.txt").write_text("\n".join([*lines, ""]), encoding="utf-8")
    lab = Lab(root.parent / "cache", root={"dfew": root}, clip="miniature")
    lab.extract(["dfew", "dfew:train"])
    lab.fit_head("dfew:train", **HOW, seed=[1, 2])
    lab.fit_head("dfew:train", **HOW | {"head": "linear-probe"})
    lab.fit_head("dfew:train", **HOW, seed=1, shots=2)
    lab.fit_head("dfew:train", **HOW, seed=1, balanced=True)
    lab.fit_head("dfew", **HOW, seed=[1, 2])
    lab.fit_head("dfew:train", **HOW, seed=1, text="fixed")
    lab.fit_head("dfew:train", **HOW | {"head": "coop"}, seed=1)
    return lab


def test_the_frozen_row_is_the_mean_over_folds_of_heads_of_the_train_part(made, work):
    (table,) = made.reproduce("dfer", test="dfew").tables
    (row,) = [one for one in table.rows if one.row.method == FROZEN]
    (cell,) = row.cells
    features = made.open_features("dfew", model="miniature")
    samples = Samples(features.array, features.manifest.samples("edge"))
    folds, labels = features.manifest.folds, features.manifest.labels
    folders = sorted((made.cache.root / "heads").iterdir())
    cards = [json.loads((folder / "head.json").read_text()) for folder in folders]
    meant = [
        (card["seed"], folder)
        for card, folder in zip(cards, folders, strict=True)
        if (card["head"], card["train"]) == ("dfer-clip", "dfew-train")
        and card["spec"]["settings"]["text"] == "learned"
        and not card["spec"]["shots"]
        and not card["spec"]["balanced"]
    ]
    expected = []
    for _, folder in sorted(meant):
        card = known_card(folder)
        assert card is not None
        guess = load_head(folder, card).scores_of_folds(samples, folds).argmax(axis=1)
        each = [
            recall_score(labels[folds == k], guess[folds == k], labels=range(7), average="macro") for k in range(1, 6)
        ]
        expected.append(100 * np.mean(each))
    assert len(expected) == 2
    np.testing.assert_allclose(cell.uar, expected)
    assert cell.published is None
    assert "fitted with epochs 1 (default 50)" in row.remark and "batch_size 4 (default 48)" in row.remark
    assert not work


def test_fixed_texts_and_coop_have_rows_of_their_own_where_there_are_such_heads(made, lab):
    (table,) = made.reproduce("dfer", test="dfew").tables
    computed = {one.row.method: one.cells[0] for one in table.rows if one.cells[0].published is None}
    assert list(computed) == [one.method for one in COMPUTED]
    for kind in COMPUTED[1:]:
        heads = f"kind={kind.head},train=dfew-train,seed=1"
        scores = made.evaluate("dfew", frames="edge", head=heads, prompts="P-1").scores
        (expected,) = [one for one in scores if one.of.head == kind.name and one.is_overall]
        assert computed[kind.method].uar == (pytest.approx(expected.uar),)
    (table,) = lab.reproduce("dfer", test="dfew").tables
    assert [one.row.method for one in table.rows if one.cells[0].published is None] == [FROZEN]


def test_what_is_there_is_counted(made):
    done = made.reproduce("dfer", test="dfew")
    assert [(step.have, step.of, step.makes) for step in done.steps] == [
        (2, 2, "stores"),
        (2, 3, "heads"),
        (1, 1, "columns"),
    ]


def test_every_published_number_has_its_cell(lab):
    (table,) = lab.reproduce("dfer").tables
    assert len(published_rows()) == 19 and published_rows()[-1].method == DFER_CLIP
    cells = [cell for row in table.rows for cell in row.cells]
    assert [cell.dataset for cell in table.rows[0].cells] == list(COLUMNS)
    assert sum(cell.published is not None for cell in cells) == 39
    assert published_score(published_rows()[-1], "mafw") == (39.89, 52.55)
    assert {row.remark for row in table.rows if row.row.method != FROZEN} == {"supervised, published"}


def test_it_is_shown_where_it_is_asked_for_alone_or_among_others(lab):
    assert [table.name for table in lab.reproduce().tables] == list(paper_tables())
    assert [table.name for table in lab.reproduce(["dfer", "2"], test="dfew").tables] == ["dfer", "2"]


def test_an_empty_cache_names_every_command_and_each_can_be_typed(lab, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = lab.reproduce("dfer", cache="here")
    ours = "--clip ViT-B-32"
    assert [step.command for step in done.steps] == [
        "expclip extract dfew dfew:train ferv39k ferv39k:train mafw mafw:train --features clip_image "
        f"{ours} --cache here",
        *(
            f"expclip fit-head --train {name}:train {ours} --head dfer-clip --frames edge --cache here"
            for name in COLUMNS
        ),
        f"expclip evaluate dfew ferv39k mafw {ours} --head kind=dfer-clip --prompts descriptions --frames edge "
        "--cache here",
    ]
    said = [step.command for step in done.steps]
    said += commands_in("; ".join(cell.why_not for row in done.tables[0].rows for cell in row.cells))
    for command in said:
        assert request_of(command).command() == command


def test_people_and_programs_are_told_what_cannot_be_equal(lab):
    (table,) = lab.reproduce("dfer", clip=["miniature", "ViT-B-16"]).tables
    shown, notes = as_text(table)
    assert [line[0] for line in shown.rows if line[0].startswith(FROZEN)] == [
        f"{FROZEN} · {clip} · dfer-clip head · descriptions" for clip in ("miniature", "ViT-B-16")
    ]
    assert any("the image tower is frozen" in note and "best on the test fold" in note for note in notes)
    assert as_json(table)["rows"][-1]["method"] == FROZEN


@pytest.mark.parametrize("test", ["raf-db", "faces-test"])
def test_a_column_without_clips_to_learn_from_is_refused(lab, test):
    with pytest.raises(UsageError, match=f"test {test}: a column of the table dfer is a data set of clips"):
        lab.reproduce("dfer", test=test)


def test_an_unknown_table_names_it_too(lab):
    with pytest.raises(UsageError, match="A or B, or dfer for DFER-CLIP's"):
        lab.reproduce("C")
