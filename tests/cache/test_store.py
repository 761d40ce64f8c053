"""A store gives back what was written, or says which shard it cannot give back; never something else."""

import math
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import zarr
from expclip.cache.receipts import FailedRow
from expclip.cache.shard_file import finite_rows
from expclip.cache.store import FeatureStore
from expclip.errors import ExpclipError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def file_of(store: FeatureStore, shard: int) -> Path:
    return store.path / "features" / "c" / str(shard) / "0"


def flip(file: Path, bit: int) -> None:
    content = bytearray(file.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)


def test_rows_that_were_never_written_are_nan(store):
    assert np.isnan(store.read()).all()
    assert store.read().shape == (20, 3)
    assert store.rows_done() == 0


@QUICK
@given(data=st.data())
def test_any_run_of_rows_reads_as_it_was_written(tmp_path_factory, header, data):
    rows = data.draw(st.integers(1, 40))
    shape = data.draw(st.sampled_from([(1,), (3,), (2, 3)]))
    dtype = data.draw(st.sampled_from(["float16", "float32"]))
    known = header(rows=rows, row_shape=shape, dtype=dtype)
    store = FeatureStore.create(tmp_path_factory.mktemp("s") / "x-0.zarr", known)
    model = np.full((rows, *shape), np.nan, dtype)
    for shard in data.draw(st.permutations(range(known.shards))):
        here = known.shard_rows(shard)
        done = data.draw(st.integers(0, len(here)))
        if done:
            values = np.random.default_rng(shard).standard_normal((done, *shape)).astype(dtype)
            store.write_shard(shard, values)
            model[here.start : here.start + done] = values
    start = data.draw(st.integers(0, rows))
    stop = data.draw(st.integers(start, rows))
    reopened = FeatureStore.open(store.path)
    np.testing.assert_array_equal(reopened.read(range(start, stop)), model[start:stop])
    np.testing.assert_array_equal(reopened.read(), model)
    buffer = np.full((stop - start, *shape), 7, dtype)
    assert reopened.read(range(start, stop), into=buffer) is buffer
    np.testing.assert_array_equal(buffer, model[start:stop])
    assert reopened.rows_done() == np.isfinite(model.reshape(rows, -1)).all(axis=1).sum()


@pytest.mark.parametrize("other", [np.empty((19, 3), "f2"), np.empty((20, 3), "f4"), np.empty((3, 20), "f2").T])
def test_a_buffer_that_does_not_fit_is_refused(store, other):
    with pytest.raises(ValueError, match=r"the shape \(20, 3\) in float16 do not fit"):
        store.read(into=other)


def test_each_file_of_a_store_is_opened_once(store, fill, features, monkeypatch):
    """Its shards, and the receipts that say what their checksums are."""
    from expclip import untrusted

    fill(store)
    store = FeatureStore.open(store.path)
    opened = []
    real = untrusted.open_file
    for place in ("expclip.untrusted.open_file", "expclip.cache.shard_file.open_file"):
        monkeypatch.setattr(place, lambda path: (opened.append(Path(path).name), real(path))[1])
    np.testing.assert_array_equal(store.read(), features)
    assert sorted(opened) == sorted(["zarr.json", *["0"] * 3, "00000.json", "00001.json", "00002.json"])


def test_failed_rows_keep_their_place_and_are_nan(store, fill, features):
    fill(store, failed=[0, 9, 19])
    values = store.read()
    assert np.flatnonzero(np.isnan(values).all(axis=1)).tolist() == [0, 9, 19]
    others = np.delete(np.arange(20), [0, 9, 19])
    np.testing.assert_array_equal(values[others], features[others])
    assert [row.row for row in store.failed_rows()] == [0, 9, 19]
    assert store.is_complete()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 70000.0])
def test_a_row_that_did_not_fail_and_is_not_finite_is_never_written(store, bad):
    values = np.ones((8, 3), np.float32)
    values[5, 1] = bad
    with pytest.raises(ExpclipError, match="row 13 did not fail"):
        store.write_shard(1, values)
    assert not file_of(store, 1).exists()
    assert store.rows_done() == 0
    assert store.write_shard(1, values, (FailedRow(13, "13.png", "broken"),)).rows == 8


def test_a_shard_in_which_all_rows_failed_is_finished(store, fill):
    fill(store, [0], failed=range(8))
    assert np.isnan(store.read(range(8))).all()
    assert store.rows_done() == 8


def test_what_another_process_finished_meanwhile_is_kept(store, fill, features):
    first = fill(store).receipts.read()
    before = file_of(store, 1).stat().st_mtime_ns
    assert store.write_shard(1, features[8:12] + 1) == first[1]
    assert store.write_shard(1, features[8:16] + 1) == first[1]
    assert file_of(store, 1).stat().st_mtime_ns == before
    np.testing.assert_array_equal(store.read(), features)


def test_more_rows_replace_fewer(store, features):
    store.write_shard(1, features[8:11], (FailedRow(9, "9.png", "broken"),))
    store.write_shard(1, features[8:16])
    np.testing.assert_array_equal(store.read(range(8, 16)), features[8:16])
    assert store.failed_rows() == ()


def test_the_receipt_goes_before_the_shard_and_comes_after_it(store, fill, features, monkeypatch):
    store.write_shard(0, features[:3])

    def refuse(*_):
        assert not store.receipts.path(0).exists()
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("expclip.cache.store.fsync", refuse)
    with pytest.raises(ExpclipError, match="input/output error"):
        store.write_shard(0, features[:8])
    assert store.receipts.read() == {}


@QUICK
@given(bit=st.integers(0, (8 * 3 * 2 + 24) * 8 - 1))
def test_one_flipped_bit_is_noticed_and_the_shard_is_named(store, fill, features, bit):
    fill(store)
    flip(file_of(store, 1), bit)
    with pytest.raises(ExpclipError, match="shard 1 is damaged") as error:
        FeatureStore.open(store.path).read()
    assert f"remove {store.receipts.path(1)} and run `expclip extract` again" in str(error.value)
    assert "\n" not in str(error.value)
    np.testing.assert_array_equal(store.read(range(8)), features[:8])
    with pytest.raises(ValueError, match="checksum"):
        zarr.open_array(store.path / "features", mode="r")[8:16]
    flip(file_of(store, 1), bit)


@pytest.mark.parametrize("length", [0, 1, 20, 60])
def test_a_truncated_shard_is_noticed(store, fill, length):
    fill(store)
    os.truncate(file_of(store, 2), length)
    with pytest.raises(ExpclipError, match="shard 2 is damaged"):
        store.read()


def test_a_vanished_shard_is_noticed_and_written_anew_once_its_receipt_is_gone(store, fill, features):
    fill(store, failed=[17])
    file_of(store, 2).unlink()
    with pytest.raises(ExpclipError, match=r"shard 2 is damaged \(its file is gone\)"):
        store.read()
    np.testing.assert_array_equal(store.read(range(4, 16)), features[4:16])
    store.receipts.path(2).unlink()
    np.testing.assert_array_equal(fill(store, [2]).read(), features)


def test_a_shard_of_another_store_under_this_name_is_noticed(store, fill):
    fill(store)
    empty = FeatureStore.create(store.path.with_name("other-0.zarr"), store.header)
    fill(empty, [1], failed=range(8, 16))
    file_of(store, 1).write_bytes(file_of(empty, 1).read_bytes())
    with pytest.raises(ExpclipError, match="shard 1 is damaged"):
        store.read()


def test_another_layout_is_left_to_zarr(store, fill, features):
    fill(store)
    zarr.create_array(store.path / "features", data=features, chunks=(5, 2), overwrite=True)
    np.testing.assert_array_equal(FeatureStore.open(store.path).read(), features)
    np.testing.assert_array_equal(FeatureStore.open(store.path).read(range(3, 11)), features[3:11])


def test_an_array_that_does_not_fit_the_header_is_refused(store, features):
    zarr.create_array(store.path / "features", data=features[:, :2], overwrite=True)
    with pytest.raises(ExpclipError, match="do not fit its header"):
        FeatureStore.open(store.path).read()


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('"schema": 1', '"schema": 7', "its schema is 7; this version reads 1"),
        ('"rows": 20', '"rows": "many"', "validation error"),
        ('"attributes"', '"else"', "attributes"),
        ("{", "", "Expecting value|Extra data"),
    ],
)
def test_a_store_that_cannot_be_read_says_why_in_one_line(store, old, new, why):
    file = store.path / "zarr.json"
    content = file.read_text()
    assert old in content
    file.write_text(content.replace(old, new, 1))
    with pytest.raises(ExpclipError, match=why) as error:
        FeatureStore.open(store.path)
    assert "remove it and run `expclip extract` again" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_store_of_another_key_under_this_name_is_refused(store, header):
    with pytest.raises(ExpclipError, match=r"has the key [0-9a-f]{16}…, not [0-9a-f]{16}…: remove it"):
        FeatureStore.create(store.path, header(rows_digest="other rows"))


def test_receipts_of_a_removed_store_do_not_count_for_the_next_one(store, fill):
    fill(store)
    for path in sorted(store.path.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    store.path.rmdir()
    again = FeatureStore.create(store.path, store.header)
    assert again.rows_done() == 0
    assert np.isnan(again.read()).all()


def test_many_may_create_the_same_store_at_once(tmp_path, header):
    path = tmp_path / "faces" / "x-0.zarr"
    together = threading.Barrier(6)
    made: list[FeatureStore] = []

    def create():
        together.wait()
        made.append(FeatureStore.create(path, header()))

    threads = [threading.Thread(target=create) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.header.key for one in made] == [header().key] * 6
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_a_description_that_is_gone_is_damage_and_no_fault_of_the_disk(store, features):
    (store.path / "features" / "zarr.json").unlink()
    for touch in (store.read, lambda: store.write_shard(0, features[:8])):
        with pytest.raises(ExpclipError, match="description of its features is damaged: remove it"):
            touch()


@given(st.lists(st.lists(st.floats(width=16), min_size=3, max_size=3), min_size=1), st.sampled_from(["<f2", "<f4"]))
def test_rows_are_finite_where_numpy_says_so(values, dtype):
    rows = np.array(values, dtype)
    assert finite_rows(rows).tolist() == [all(map(math.isfinite, row)) for row in rows.tolist()]
