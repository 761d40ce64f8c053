"""Commands on a cache with damaged heads and texts: what is whole is used, what is not is named, and goes."""

import json
import shutil
from dataclasses import asdict, replace

import numpy as np
import pytest
from expclip import ExpclipError, UsageError
from expclip.cache.files import seal
from expclip.cli import app
from expclip.heads.saving import problem_of, read_card, save_head
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

MINIATURE = {"clip": "miniature", "teacher": "miniature"}
SCORING = {"clip": "miniature", "prompts": "P-3"}
SMALL = MINIATURE | {"seed": [1, 2], "epochs": 1, "batch_size": 16}


@pytest.fixture
def fitted(lab, photos):
    """Two heads of the photos."""
    lab.extract(photos, **MINIATURE)
    return lab.fit_head(photos, **SMALL)


def typed(lab, *words) -> tuple[int, str, str]:
    """The exit code of a command on the lab's cache, and what it prints."""
    result = CliRunner().invoke(app, [*map(str, words), "--cache", str(lab.cache.root)])
    return result.exit_code, result.stdout, result.stderr


def flip(file, place: int = -1) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)


DAMAGE = {
    "no card": lambda folder: (folder / "head.json").unlink(),
    "an empty card": lambda folder: (folder / "head.json").write_bytes(b""),
    "a flipped bit in the card": lambda folder: flip(folder / "head.json", 40),
    "no weights": lambda folder: (folder / "head.safetensors").unlink(),
    "empty weights": lambda folder: (folder / "head.safetensors").write_bytes(b""),
    "a flipped bit in the weights": lambda folder: flip(folder / "head.safetensors"),
    "NaN": lambda folder: save_file({"weight": np.full((256, 128), np.nan, "f")}, folder / "head.safetensors"),
    "another shape": lambda folder: save_file({"weight": np.ones((256, 96), "f")}, folder / "head.safetensors"),
    "nothing in it": lambda folder: [file.unlink() for file in folder.iterdir()],
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_head_is_named_and_never_scored_and_fitting_replaces_it(lab, fitted, photos, labelled, how, capsys):
    broken, whole = fitted
    weight = load_file(broken.path / "head.safetensors")["weight"]
    DAMAGE[how](broken.path)
    capsys.readouterr()
    found = lab.evaluate(labelled, **SCORING)
    assert {one.of.head_id for one in found.scores} == {"", whole.card.id}
    said = [line for line in capsys.readouterr().err.splitlines() if broken.card.id in line]
    assert len(said) == 1
    with pytest.raises(UsageError, match=str(broken.path)):
        lab.evaluate(labelled, **SCORING, head=broken.card.id)
    capsys.readouterr()
    again = lab.fit_head(photos, **SMALL)
    assert [one.is_new for one in again] == [True, False]
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if broken.card.id in line] == [
        line for line in said if line.startswith(f"note: {broken.path}: this head is damaged (")
    ]
    assert not problem_of(broken.path)
    np.testing.assert_array_equal(load_file(broken.path / "head.safetensors")["weight"], weight)
    assert sorted(path.name for path in lab.cache.heads.iterdir()) == sorted(one.card.id for one in fitted)
    assert not any(one.is_new for one in lab.fit_head(photos, **SMALL))


def test_a_selector_leaves_damaged_heads_out_as_long_as_it_means_others(lab, fitted, labelled, capsys):
    first, second = fitted
    flip(first.path / "head.safetensors")
    capsys.readouterr()
    found = lab.evaluate(labelled, **SCORING, head="kind=linear")
    assert [one.of.head_id for one in found.scores] == [second.card.id]
    assert capsys.readouterr().err.count(first.card.id) == 2  # in one line: the id, and the path
    with pytest.raises(UsageError, match="its weights changed since they were written"):
        lab.evaluate(labelled, **SCORING, head=["none", "seed=1"])


def test_what_is_said_of_damaged_heads_is_said_where_they_might_be_meant(lab, fitted, labelled, capsys):
    (fitted[0].path / "head.json").unlink()
    for head, times in (("none", 0), (fitted[1].card.id, 0), ("seed=2", 1)):
        capsys.readouterr()
        lab.evaluate([labelled], **SCORING, head=head)
        assert capsys.readouterr().err.count("this head is damaged") == times


def test_foreign_files_and_damaged_heads_stop_no_command(lab, fitted, photos, labelled, tmp_path, capsys):
    heads = lab.cache.heads
    (heads / "notes").mkdir()
    (heads / "notes" / "todo.txt").write_text("read them")
    (heads / ".DS_Store").write_bytes(b"x")
    (heads / "README.md").write_text("our heads")
    lab.evaluate(labelled, **SCORING)
    assert "left out" not in capsys.readouterr().err
    (fitted[0].path / "head.json").write_text("{}")
    assert lab.evaluate(labelled, **SCORING).scores
    assert lab.figures(labelled, **SCORING, kind="confusion", out=tmp_path / "drawn")
    capsys.readouterr()
    done = lab.reproduce("1", **MINIATURE, train=photos, test=labelled)
    assert done.tables
    assert capsys.readouterr().err.count("this head is damaged") == 1
    code, out, _ = typed(lab, "heads", "list", "--json")
    listed = {one["id"]: one.get("problem", "") for one in json.loads(out)}
    assert code == 0
    assert listed == {fitted[1].card.id: "", fitted[0].card.id: "its card has values of other types, or lacks some"}
    code, out, _ = typed(lab, "heads", "list")
    assert code == 0
    assert "damaged: its card has" in " ".join(out.split())
    assert "notes" not in out


def test_reproduce_takes_no_head_whose_weights_are_damaged(lab, fitted, photos, labelled, capsys):
    def uar() -> tuple[float, ...]:
        """Of the row with heads, by seed."""
        done = lab.reproduce("1", **MINIATURE, train=photos, test=labelled)
        return done.tables[0].rows[-1].cells[0].uar

    lab.evaluate(labelled, clip="miniature", prompts=["P-1", "P-2", "P-3", "P-4", "P-5"])
    _, second = uar()
    flip(fitted[0].path / "head.safetensors")
    capsys.readouterr()
    assert uar() == (second,)
    assert capsys.readouterr().err.count("its weights changed") == 1


def test_damaged_texts_stop_neither_figures_nor_reproduce_nor_lists(lab, fitted, photos, labelled, tmp_path):
    for prompts in ("P-1", "P-3"):
        lab.evaluate(labelled, clip="miniature", prompts=prompts)
    first, _ = sorted((lab.cache.root / "text").glob("manifest-*.zarr"), key=lambda path: path.stat().st_mtime_ns)
    (first / "zarr.json").write_text("{")
    assert lab.reproduce("1", **MINIATURE, train=photos, test=labelled).tables
    assert lab.figures(labelled, **SCORING, kind="confusion", out=tmp_path / "drawn")
    for words in (("heads", "list"), ("cache", "list")):
        assert typed(lab, *words)[0] == 0


def test_a_curve_that_was_damaged_is_not_drawn_and_that_is_said(lab, fitted, labelled, tmp_path, capsys):
    file = fitted[0].path / "losses.csv"
    file.write_bytes(file.read_bytes().replace(b"1,", b"1,9", 1))
    lab.evaluate(labelled, **SCORING)
    assert lab.figures(labelled, **SCORING, kind="curves", out=tmp_path / "drawn")
    assert f"{file}: it changed since it was written" in capsys.readouterr().err


@pytest.mark.parametrize("predictions", ["parquet", "none"])
@pytest.mark.parametrize("size", [3e38, 1e25])
def test_similarities_that_are_no_numbers_are_one_line_and_no_scores(
    lab, fitted, labelled, tmp_path, predictions, size
):
    card = read_card(fitted[0].path)
    shutil.rmtree(fitted[0].path)
    save_head(lab.cache.heads, card, {"weight": np.full((256, 128), size, np.float32)})
    assert not problem_of(fitted[0].path)
    words = ("evaluate", labelled, "--clip", "miniature", "--prompts", "P-3", "--predictions", predictions)
    code, _, err = typed(lab, *words, "--out", tmp_path / "out")
    (line,) = [line for line in err.splitlines() if card.id in line]
    assert "similarities that are no finite numbers, from which nothing can be predicted" in line
    assert "Warning" not in err
    assert code == 1
    assert not (tmp_path / "out").exists()


def test_an_embedding_of_length_zero_has_no_similarity_and_no_prediction(lab, fitted, labelled):
    card = read_card(fitted[0].path)
    (store,) = lab.cache.find("photos", "clip_image")
    weight = np.zeros((256, 128), np.float32)
    weight[:, 0] = 1e-30  # whose squares are zero
    assert store.header.width == 128
    shutil.rmtree(fitted[0].path)
    save_head(lab.cache.heads, card, {"weight": weight})
    with pytest.raises(ExpclipError, match=f"behind head {card.id} have similarities that are no finite numbers"):
        lab.evaluate(labelled, **SCORING, head=card.id)


def test_an_imported_head_is_marked_and_is_never_the_fitted_one(lab, fitted, photos, labelled, tmp_path):
    one = fitted[0]
    file = tmp_path / "head.safetensors"
    assert typed(lab, "heads", "export", one.card.id, file)[0] == 0
    shutil.rmtree(one.path)
    assert typed(lab, "heads", "import", file)[0] == 0
    _, out, _ = typed(lab, "heads", "list", "--json")
    (imported,) = [card for card in json.loads(out) if "imported" in card]
    assert imported["original_id"] == one.card.id != imported["id"]
    found = lab.evaluate(labelled, **SCORING, head=one.card.id[:7])
    assert [score.of.head_id for score in found.scores] == [imported["id"]]
    in_place = lab.evaluate(labelled, **SCORING, head=str(file))
    assert [score.of.head_id for score in in_place.scores] == [imported["id"]]
    assert lab.fit_head(photos, **SMALL)[0].is_new
    found = lab.evaluate(labelled, **SCORING, head=one.card.id)
    assert [score.of.head_id for score in found.scores] == [one.card.id]


def test_a_forged_file_with_the_spec_of_a_fitted_head_is_scored_by_its_own_weights(lab, fitted, labelled, tmp_path):
    one = fitted[0]
    forged = asdict(replace(read_card(one.path), weights=""))
    file = tmp_path / "forged.safetensors"
    save_file({"weight": np.eye(256, 128, dtype="f")}, file, metadata={"expclip": json.dumps(seal(forged))})
    found = lab.evaluate(labelled, **SCORING, head=[one.card.id, str(file)])
    ids = [score.of.head_id for score in found.scores]
    assert ids[0] == one.card.id != ids[1]
    first, second = (predictions.similarity for predictions in found.predictions)
    assert not np.allclose(first, second)


def test_heads_are_removed_by_id_prefix_folder_or_path_damaged_or_not(lab, fitted):
    (fitted[0].path / "head.json").unlink()
    size = sum(file.stat().st_size for file in fitted[0].path.iterdir())
    other = lab.cache.heads / "copy"
    shutil.copytree(fitted[1].path, other)
    (lab.cache.heads / "notes").mkdir()
    code, out, err = typed(lab, "heads", "rm", fitted[0].card.id[:5], "copy", "--json")
    assert code == 0, err
    assert [one["path"] for one in json.loads(out)] == [str(fitted[0].path), str(other)]
    assert json.loads(out)[0]["bytes"] == size
    assert not other.exists()
    code, _, err = typed(lab, "heads", "rm", fitted[1].path, "notes")
    assert code == 2
    assert "notes: this is no head: remove it yourself" in err
    assert fitted[1].path.exists()  # nothing was removed
    code, out, _ = typed(lab, "heads", "rm", fitted[1].path)
    assert code == 0
    assert f"{fitted[1].path}: removed, " in out
    assert [path.name for path in lab.cache.heads.iterdir()] == ["notes"]
    assert typed(lab, "heads", "rm", fitted[1].card.id)[0] == 2


@pytest.mark.parametrize("name", ["", "..", ".", "../photos", "/", "x"])
def test_a_name_that_is_no_heads_removes_nothing(lab, fitted, name):
    before = sorted(lab.cache.root.rglob("*"))
    assert typed(lab, "heads", "rm", name)[0] == 2
    assert sorted(lab.cache.root.rglob("*")) == before
