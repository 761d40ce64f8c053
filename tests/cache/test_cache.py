"""The cache finds what a request means, and foreign things in its folder are in nobody's way."""

from dataclasses import replace

import numpy as np
import pytest
import zarr
from expclip.cache.cache import Cache
from expclip.errors import ExpclipError
from expclip.manifests.manifest import Clips, Manifest, Rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.fixture
def cache(tmp_path) -> Cache:
    return Cache(tmp_path / "cache")


def test_an_empty_or_missing_cache_holds_nothing(cache):
    assert cache.datasets() == []
    assert list(cache.stores()) == []
    assert cache.current_manifest("faces") is None


def test_foreign_things_are_in_nobodys_way(cache, header, fill):
    store = fill(cache.create_store(header()))
    faces = cache.root / "faces"
    (faces / "notes.txt").write_text("mine")
    (faces / ".DS_Store").write_bytes(b"\0")
    (cache.root / "empty folder").mkdir()
    (faces / "file.zarr").write_text("a file")
    (faces / "empty.zarr").mkdir()
    zarr.create_group(faces / "foreign.zarr")
    assert [one.path for one in cache.stores()] == [store.path]
    assert cache.find("faces", "clip_image", model="ViT-X")[0].path == store.path
    reasons = [str(error) for _, error in cache.unreadable()]
    assert len(reasons) == 3
    assert all("not a feature store of this version" in reason and "\n" not in reason for reason in reasons)


def test_a_store_is_found_by_its_key_whatever_the_model_is_called(cache, header):
    made = cache.create_store(header())
    renamed = replace(header(), model="another name")
    assert cache.store_path(renamed) == made.path
    assert cache.open_store(header(rows_digest="other rows")) is None


NAMES = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]) | st.sampled_from("\udc80\udcff"), min_size=1
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_manifest_comes_back_as_it_was_kept(tmp_path_factory, data):
    rows = data.draw(st.integers(1, 6))
    samples = data.draw(st.integers(1, 5))
    index = st.integers(0, rows - 1)
    lists = data.draw(st.lists(st.lists(index, max_size=4), min_size=samples, max_size=samples))
    manifest = Manifest(
        name="a data set",
        kind="clips",
        classes=("joy", "anger"),
        rows=Rows(
            tuple(data.draw(st.lists(NAMES, min_size=rows, max_size=rows))),
            np.array(data.draw(st.lists(st.integers(-1, 2**40), min_size=rows, max_size=rows)), np.int64),
            np.arange(rows, dtype=np.int32),
        ),
        sample_ids=tuple(data.draw(st.lists(NAMES, min_size=samples, max_size=samples))),
        labels=np.array(data.draw(st.lists(st.integers(-1, 1), min_size=samples, max_size=samples)), np.int16),
        folds=np.zeros(samples, np.int16),
        clips={"released": Clips.from_lists(lists)},
        root=data.draw(NAMES),
        remarks=("one", "two \udcff"),
    )
    cache = Cache(tmp_path_factory.mktemp("c"))
    cache.save_manifest(manifest)
    found = cache.current_manifest("a data set")
    assert found is not None
    assert found.digest == manifest.digest
    assert (found.rows.sources, found.sample_ids, found.root) == (
        manifest.rows.sources,
        manifest.sample_ids,
        manifest.root,
    )
    np.testing.assert_array_equal(found.clips["released"].indices, manifest.clips["released"].indices)


def test_the_manifest_read_last_is_the_current_one(cache, manifest):
    relabelled = replace(manifest, remarks=("read again",), classes=("joy",), labels=np.array([0, -1, 0], np.int16))
    for one in (manifest, relabelled, manifest):
        cache.save_manifest(one)
        found = cache.current_manifest("three")
        assert found is not None
        assert found.digest == one.digest
    assert cache.manifest_of("three", manifest.rows.digest) is not None
    assert cache.manifest_of("three", "other rows") is None


def test_a_manifest_that_changed_on_disk_is_noticed(cache, manifest):
    cache.save_manifest(manifest)
    folder = next((cache.root / "three").glob("manifest-*.zarr"))
    zarr.open_array(folder / "labels", mode="r+")[1] = 0
    with pytest.raises(ExpclipError, match=r"the manifest changed .*: run `expclip extract`"):
        cache.current_manifest("three")


@pytest.mark.parametrize("content", ["{", "[]", '{"manifest": 3}', '{"manifest": "../../x", "root": ""}'])
def test_a_broken_pointer_to_the_manifest_is_one_line_or_none(cache, manifest, content):
    cache.save_manifest(manifest)
    (cache.root / "three" / "current.json").write_text(content)
    try:
        assert cache.current_manifest("three") is None
    except ExpclipError as error:
        assert "run `expclip extract`" in str(error)
        assert "\n" not in str(error)
