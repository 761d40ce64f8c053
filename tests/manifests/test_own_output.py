"""What expclip wrote below a data set is no data; crops and built-in faces are."""

import os

import pytest
from expclip.errors import UsageError
from expclip.manifests.catalogue import parse_dataset
from expclip.manifests.disk import folders_in, walk
from expclip.manifests.layouts import read_dataset
from expclip.manifests.own_output import MARKER, is_own_output, mark_output
from hypothesis import given
from hypothesis import strategies as st

CACHE = (
    "photos/manifest-0123456789ab.zarr/zarr.json",
    "photos/current.json",
    "photos/clip_image-miniature-0123456789ab.zarr/zarr.json",
    "photos/clip_image-miniature-0123456789ab.receipts/00000.json",
    "text/manifest-0123456789ab.zarr/zarr.json",
    "heads/0123456789ab/head.json",
    "builtin/faces-test-v4/happiness/00.png",
    "weights.json",
)
RESULTS = ("scores.csv", "predictions.csv", "confusion.npz", "tables.md", "figures/photos-miniature-none-P-3.png")
FIGURES = tuple(f"{kind}-photos-miniature.{suffix}" for kind in ("confusion", "tsne") for suffix in ("png", "pdf"))
OLD = {"cache": CACHE, "results": RESULTS, "figures": FIGURES}


def read(path):
    return read_dataset(parse_dataset(str(path)), None, path)


@pytest.fixture
def photos(plant, tmp_path):
    plant("photos/happiness/0.jpg", "photos/sadness/0.jpg")
    return tmp_path / "photos"


@pytest.mark.parametrize("what", OLD)
def test_older_output_is_known_by_what_it_holds(plant, photos, what):
    plant(*(f"photos/mine/{name}" for name in OLD[what]))
    assert is_own_output(photos / "mine")
    manifest = read(photos)
    assert manifest.sample_ids == ("happiness/0.jpg", "sadness/0.jpg")
    assert manifest.remarks == ("1 folder with expclip's own output was skipped (first: mine)",)


@pytest.mark.parametrize("what", OLD)
def test_own_output_is_no_data_set(plant, tmp_path, what):
    plant(*(f"mine/{name}" for name in OLD[what]))
    with pytest.raises(
        UsageError, match=r"mine: this is a cache, results or figures that expclip wrote, and no data"
    ):
        read(tmp_path / "mine")
    with pytest.raises(UsageError, match=r"mine: this is a cache, results or figures"):
        read_dataset(parse_dataset("raf-db"), tmp_path / "mine", tmp_path)


def test_a_marked_folder_is_skipped_wherever_it_lies_and_whatever_it_holds(plant, photos):
    plant("photos/happiness/old/any.jpg", "photos/drawn/any.jpg")
    for folder in ("happiness/old", "drawn"):
        (photos / folder / MARKER).touch()
    assert folders_in(photos) == ["happiness", "sadness"]
    assert walk(photos) == (
        ["happiness/0.jpg", "sadness/0.jpg"],
        ["2 folders with expclip's own output were skipped (first: drawn)"],
    )


def test_what_a_cache_keeps_beside_its_stores_goes_with_it_even_in_the_data_set_itself(plant, photos):
    plant(*(f"photos/{name}" for name in CACHE), "photos/text.jpg")
    assert walk(photos)[0] == ["happiness/0.jpg", "sadness/0.jpg", "text.jpg"]
    assert not is_own_output(photos)
    assert folders_in(photos) == ["happiness", "sadness"]


def test_a_class_may_be_called_like_a_part_of_a_cache(plant, tmp_path):
    plant("text/0.jpg", "heads/0.jpg", *(f"results/{name}" for name in RESULTS))
    assert read(tmp_path).classes == ("heads", "text")


def test_built_in_faces_and_crops_are_data_where_they_are_given(plant, tmp_path):
    plant(*(f"cache/{name}" for name in CACHE), "crops/crops.json", "crops/happiness/confusion-0.png")
    mark_output(tmp_path / "cache", "cache")
    assert read(tmp_path / "cache/builtin/faces-test-v4").sample_ids == ("happiness/00.png",)
    assert read(tmp_path / "crops").sample_ids == ("happiness/confusion-0.png",)
    assert walk(tmp_path)[0] == ["crops/happiness/confusion-0.png"]


def test_built_in_faces_below_another_folder_are_skipped_though_nothing_was_extracted_yet(plant, photos):
    plant("photos/expclip-cache/builtin/faces-test-v4/happiness/00.png")
    assert walk(photos)[0] == ["happiness/0.jpg", "sadness/0.jpg"]


@given(st.sets(st.sampled_from(["confusion-a.png", "confusion-a.pdf", "tsne-b.png", "a.png", "a.jpg", "notes.txt"])))
def test_pictures_are_figures_only_if_all_are_named_so_and_drawn_twice(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("figures")
    for name in names:
        (folder / name).touch()
    assert is_own_output(folder) == (names == {"confusion-a.png", "confusion-a.pdf"})


@pytest.mark.parametrize("what", OLD)
def test_output_is_marked_once_and_for_all(plant, tmp_path, what):
    plant(*(f"old/{name}" for name in OLD[what]))
    for folder in ("old", "new"):
        assert mark_output(tmp_path / folder, what)
        before = (tmp_path / folder / MARKER).stat()
        assert mark_output(tmp_path / folder, what)
        assert (tmp_path / folder / MARKER).stat() == before
        assert is_own_output(tmp_path / folder)
        assert [name for name in os.listdir(tmp_path / folder) if name.startswith(MARKER)] == [MARKER]  # noqa: PTH208


def test_a_folder_of_the_user_is_never_marked(photos, plant, tmp_path):
    plant("notes/a.txt")
    assert not mark_output(tmp_path / "notes", "results")
    assert mark_output(photos / "figures", "results")
    for name in (*CACHE, *RESULTS):
        plant(f"photos/{name}")
        assert not mark_output(photos, "results")
        assert not is_own_output(photos)
    assert read(photos).sample_ids == ("happiness/0.jpg", "sadness/0.jpg")


def test_pictures_that_lie_beside_stores_are_data(plant, tmp_path):
    plant(*(f"happiness/{name.removeprefix('photos/')}" for name in CACHE if name.startswith("photos/")))
    plant("happiness/0.jpg", "sadness/0.jpg")
    assert read(tmp_path).sample_ids == ("happiness/0.jpg", "sadness/0.jpg")


def test_a_marker_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", refuse)
    with pytest.raises(OSError, match="No space"):
        mark_output(tmp_path / "new", "results")
    assert list((tmp_path / "new").iterdir()) == []


def test_looking_costs_no_call_per_file(plant, photos, monkeypatch):
    calls = []
    for name in ("stat", "lstat", "scandir"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, real=real, **named: calls.append(args) or real(*args, **named))

    def counted():
        calls.clear()
        folders_in(photos)
        walk(photos)
        return len(calls)

    few = counted()
    plant(*(f"photos/happiness/{k}.jpg" for k in range(100)))
    assert counted() == few <= 16
