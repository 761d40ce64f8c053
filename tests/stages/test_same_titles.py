"""Data sets with equal titles, in any tree and any order of commands, are told apart by everything that is shown."""

import csv
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from lab import Lab
from PIL import Image

CLASSES = ("happiness", "sadness", "anger", "surprise")
PICTURES = 6
SCORING = {"clip": "miniature", "prompts": "P-3", "head": "none", "intervals": False}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory, save_face) -> Path:
    """Different faces in files of one size, so that no size tells them apart."""
    folder = tmp_path_factory.mktemp("pictures")
    for index in range(PICTURES):
        save_face(folder / "face.png", seed=11, index=index, size=32)
        Image.open(folder / "face.png").convert("RGB").save(folder / f"{index}.bmp")
    (folder / "face.png").unlink()
    return folder


@pytest.fixture(scope="module")
def expected(pictures, tmp_path_factory) -> tuple[np.ndarray, np.ndarray]:
    """What each picture gives by itself: features (n, L), and the predicted class (n,)."""
    lab = Lab(tmp_path_factory.mktemp("alone") / "cache")
    folder = tmp_path_factory.mktemp("all") / "all"
    shutil.copytree(pictures, folder / "happiness")
    (found,) = lab.evaluate(folder, **SCORING).predictions
    return lab.open_features(str(folder), model="miniature").array, found.predicted


TITLES = st.sampled_from(["test", "faces", "a-test"])
PARENTS = st.lists(st.sampled_from(["a", "b", "a b", "x"]), min_size=1, max_size=2).map("/".join)
CONTENT = st.lists(st.tuples(st.sampled_from(CLASSES), st.integers(0, PICTURES - 1)), min_size=1, max_size=3)
PLACED = st.tuples(PARENTS, TITLES, st.booleans(), CONTENT)


def plant(
    root: Path, pictures: Path, parents: str, title: str, is_list: bool, content: Sequence[tuple[str, int]]
) -> str:
    """An image folder, or a list over all pictures."""
    place = root / parents / title
    if is_list:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.with_suffix(".txt").write_text("".join(f"{index}.bmp 1 {label}\n" for label, index in content))
        return str(place.with_suffix(".txt"))
    for number, (label, index) in enumerate(content):
        (place / label).mkdir(parents=True, exist_ok=True)
        shutil.copy(pictures / f"{index}.bmp", place / label / f"{number}.bmp")
    return str(place)


def in_order(content: Sequence[tuple[str, int]], is_list: bool) -> list[tuple[str, int]]:
    """The samples as a manifest has them: those of a folder by their names."""
    if is_list:
        return list(content)
    names = sorted((f"{label}/{number}.bmp", label, index) for number, (label, index) in enumerate(content))
    return [(label, index) for _, label, index in names]


@settings(max_examples=7, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(data=st.data(), placed=st.lists(PLACED, min_size=2, max_size=4, unique_by=lambda one: one[:3]))
def test_no_command_table_file_or_figure_merges_data_sets(tmp_path_factory, pictures, expected, data, placed):
    root = tmp_path_factory.mktemp("tree")
    lab = Lab(root / "cache")
    truth = {}
    for parents, title, is_list, content in placed:
        text = plant(root, pictures, parents, title, is_list, content)
        truth[text] = in_order(content, is_list)
        if is_list:
            lab.extract(text, root=pictures, clip="miniature")
    for _ in range(data.draw(st.integers(1, 4))):
        some = data.draw(st.lists(st.sampled_from(list(truth)), min_size=1, max_size=3, unique=True))
        if data.draw(st.booleans()):
            lab.extract(some, clip="miniature")
        else:
            check(lab.evaluate(some, **SCORING).predictions, some, truth, expected)
    out = root / "results"
    found = lab.evaluate(list(truth), **SCORING, predictions="csv", figures=True, out=out)
    check(found.predictions, list(truth), truth, expected)
    check_files(out, found, truth)
    drawn = lab.figures(
        list(truth), kind="confusion", clip="miniature", prompts="P-3", head="none", out=root / "drawn"
    )
    assert len({path.name.casefold() for path in drawn}) == len(drawn) == 2 * len(truth)
    for text, samples in truth.items():
        features = lab.open_features(text, model="miniature")
        rows = features.manifest.clips["image"].indices
        np.testing.assert_allclose(features.array[rows], expected[0][[index for _, index in samples]], atol=0.02)


def check(predictions, texts, truth, expected) -> None:
    """Every data set has its own samples, labels and predictions, under its own name."""
    assert len({one.of.dataset for one in predictions}) == len(predictions) == len(texts)
    for one, text in zip(predictions, texts, strict=True):
        samples = truth[text]
        assert [one.manifest.classes[label] for label in one.manifest.labels] == [label for label, _ in samples]
        np.testing.assert_array_equal(one.predicted, expected[1][[index for _, index in samples]])


def check_files(out: Path, found, truth) -> None:
    with (out / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    by_name = {one.of.dataset: len(truth[text]) for one, text in zip(found.predictions, truth, strict=True)}
    assert {name: sum(row["dataset"] == name for row in rows) for name in by_name} == by_name
    assert sum(by_name.values()) == len(rows)
    assert (out / "tables.md").read_text().count("## ") == len(truth)
    assert len(list((out / "figures").glob("*.png"))) == len(truth)
    with np.load(out / "confusion.npz") as matrices:
        counted = [matrices[name].sum() for name in matrices if name != "untrained"]
    assert sorted(counted) == sorted(map(len, truth.values()))


def test_names_of_files_do_not_run_into_one_another(lab, pictures, tmp_path):
    """`faces` under the model `miniature-x` and `faces-miniature` under `x` would make one name of a file."""
    from expclip.manifests.disk import distinct_names

    assert distinct_names(["a-b", "a-b", "A-b", "c"]) == ["a-b", "a-b-2", "A-b-3", "c"]
    assert distinct_names(["a", "a-2", "a"]) == ["a", "a-2", "a-3"]
