"""The cache finds what a request means, and foreign things in its folder are in nobody's way."""

import json
import os
import pickle
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import zarr
from expclip.cache.cache import Cache
from expclip.cache.files import read_json
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


def _pickled(folder, loot):
    """A group of zarr's second format, whose array is unpickled when it is read."""

    class Trap:
        def __reduce__(self):
            return (open, (str(loot), "w"))

    array = folder / "sources"
    array.mkdir(parents=True)
    (folder / ".zgroup").write_text('{"zarr_format": 2}')
    (folder / ".zattrs").write_text('{"rows_digest": "r"}')
    layout = {"zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|O", "fill_value": None, "order": "C"}
    (array / ".zarray").write_text(json.dumps(layout | {"compressor": None, "filters": [{"id": "pickle"}]}))
    (array / "0").write_bytes(pickle.dumps(Trap()))


def test_a_manifest_that_would_be_unpickled_is_not_read(tmp_path, cache):
    loot = tmp_path / "loot"
    _pickled(cache.root / "faces" / "manifest-0.zarr", loot)
    (cache.root / "faces" / "current.json").write_text('{"manifest": "manifest-0.zarr", "root": ""}')
    with pytest.raises(ExpclipError, match="its manifest cannot be read"):
        cache.current_manifest("faces")
    assert cache.rows_of_digest("faces", "r") is None
    assert not loot.exists()


@pytest.mark.parametrize("name", ["..", ".", "", "a/../..", "manifest-../../x.zarr", "/etc", "manifest-0.zarr/.."])
def test_a_note_that_leads_out_of_its_folder_is_none(cache, name):
    (cache.root / "faces").mkdir(parents=True)
    (cache.root / "faces" / "current.json").write_text(json.dumps({"manifest": name, "root": ""}))
    assert cache.entry("faces") is None


@pytest.mark.parametrize("dataset", ["../../x", "/x", "..", "", "a/b", "a\x1bb"])
def test_a_store_whose_header_leads_elsewhere_is_not_opened(cache, header, dataset):
    store = cache.create_store(header())
    metadata = json.loads((store.path / "zarr.json").read_text())
    metadata["attributes"]["dataset"] = dataset
    (store.path / "zarr.json").write_text(json.dumps(metadata))
    assert not list(cache.stores())
    ((path, why),) = cache.unreadable()
    assert path == store.path
    assert "not names of a data set and a node" in str(why)


@pytest.mark.parametrize("content", ["[" * 10**5, "7" * 6000, '{"a": NaN}', "\x00", '"' + "x" * 10**7])
def test_json_that_cannot_be_ours_is_none_at_a_bounded_cost(tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    assert read_json(tmp_path / "a.json") is None


@pytest.mark.skipif(os.name == "nt", reason="needs a named pipe")
def test_a_pipe_in_a_cache_is_not_waited_for(tmp_path, cache, header, features):
    os.mkfifo(tmp_path / "a.json")
    assert read_json(tmp_path / "a.json") is None
    store = cache.create_store(header())
    store.write_shard(0, features[:8])
    shard = store.path / "features" / "c" / "0" / "0"
    shard.unlink()
    os.mkfifo(shard)
    with pytest.raises(ExpclipError, match="shard 0 is damaged"):
        store.read()
    (store.path / "zarr.json").unlink()
    os.mkfifo(store.path / "zarr.json")
    assert not list(cache.stores())


@pytest.mark.skipif(os.name == "nt", reason="needs a named pipe")
def test_nor_is_one_in_place_of_any_file_of_a_store_or_manifest(cache, header, features, manifest, monkeypatch):
    store = cache.create_store(header())
    store.write_shard(0, features[:8])
    note = json.loads((store.path / "features/zarr.json").read_text())
    note["codecs"][0]["configuration"]["index_location"] = "start"  # which is left to zarr
    (store.path / "features/zarr.json").write_text(json.dumps(note))
    cache.save_manifest(manifest)
    for name in ("open_array", "open_group"):
        monkeypatch.setattr(zarr, name, lambda *_, **__: pytest.fail("zarr would wait"))
    files = [path for path in cache.root.rglob("*") if path.is_file() and ".zarr" in str(path)]
    assert len(files) > 8
    for path in files:
        content = path.read_bytes()
        path.unlink()
        os.mkfifo(path)
        with suppress(ExpclipError):
            if store.path in path.parents:
                assert [one.read() for one in cache.stores()] == []
            else:
                cache.current_manifest("three")
        path.unlink()
        path.write_bytes(content)
