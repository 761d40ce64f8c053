"""Receipts are believed only where they are whole and of this store."""

import json
from dataclasses import replace

import numpy as np
import pytest
from expclip.cache.receipts import FailedRow, Receipt, Receipts
from expclip.cache.store import FeatureStore
from expclip.errors import ExpclipError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ("key", "shard", "rows", "sha256", "failed", "seconds", "device", "batch_size", "versions", "written")


def good(store) -> dict:
    return json.loads(store.receipts.path(1).read_text())


def test_what_is_written_is_read(store, fill):
    receipts = fill(store, failed=[3, 9]).receipts.read()
    assert sorted(receipts) == [0, 1, 2]
    assert [row.row for shard in receipts for row in receipts[shard].failed] == [3, 9]
    assert receipts[2].rows == 4
    assert receipts[1].seconds["write"] > 0


@pytest.mark.parametrize("content", ["", "{", "null", "[]", "3", '{"failed": 1}', "\x00\x00"])
def test_half_written_and_foreign_files_count_as_no_receipt(store, fill, content):
    fill(store)
    store.receipts.path(1).write_text(content)
    assert sorted(store.receipts.read()) == [0, 2]
    assert store.rows_done() == 12


@pytest.mark.parametrize(
    "change",
    [
        {"key": "of another store"},
        {"shard": 2},
        {"shard": -1},
        {"rows": 9},
        {"rows": 0},
        {"rows": "8"},
        {"rows": 8.5},
        {"failed": [{"row": 3, "source": "3.png", "error": "of another shard"}]},
        {"failed": [{"row": "8", "source": "8.png", "error": ""}]},
        {"seconds": None},
    ],
)
def test_a_receipt_that_contradicts_its_store_counts_as_none(store, fill, change):
    fill(store)
    store.receipts.path(1).write_text(json.dumps(good(store) | change))
    assert sorted(store.receipts.read()) == [0, 2]


def test_other_files_beside_receipts_are_no_receipts(store, fill):
    fill(store)
    content = store.receipts.path(1).read_text()
    store.receipts.path(1).unlink()
    for name in ("00001 (copy).json", "1.json", "notes.json", ".00001.json.0a1b", "99999.json"):
        store.receipts.path(1).with_name(name).write_text(content)
    assert sorted(store.receipts.read()) == [0, 2]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(field=st.sampled_from(FIELDS), value=JSON)
def test_no_content_of_a_receipt_file_breaks_reading(store, fill, field, value):
    receipts = fill(store, [1]).receipts
    path = receipts.path(1)
    before = path.read_text()
    path.write_text(json.dumps(json.loads(before) | {field: value}))
    found = receipts.get(1)
    assert found is None or (isinstance(found, Receipt) and found.key == store.header.key and 0 < found.rows <= 8)
    path.write_text(before)


def test_a_store_without_receipts_has_none(tmp_path, header):
    assert Receipts(tmp_path / "nowhere", header()).read() == {}


def test_a_receipt_that_speaks_of_other_bytes_is_found_when_they_are_read(store, fill, features):
    """Two processes, or a copy of half a cache, may leave a shard beside the receipt of another one."""
    fill(store)
    file = store.path / "features" / "c" / "0" / "0"
    others = FeatureStore.create(store.path.with_name("other-0.zarr"), store.header)
    others.write_shard(0, features[8:16])
    file.write_bytes((others.path / "features" / "c" / "0" / "0").read_bytes())
    assert store.rows_done() == 12, "the length is right, and the checksum is not that of the receipt"
    with pytest.raises(ExpclipError, match="shard 0 is damaged"):
        store.read()
    store.write_shard(0, features[:8])
    np.testing.assert_array_equal(store.read(), features)


def test_failed_rows_that_hold_numbers_are_damage(store, fill):
    """As is a row that did not fail and holds none."""
    fill(store, failed=[9])
    for shard, failed, why in ((0, [2], "rows that failed are not NaN"), (1, [], "rows that did not fail are NaN")):
        receipt = store.receipts.get(shard)
        store.receipts.write(replace(receipt, failed=tuple(FailedRow(row, "x.png", "broken") for row in failed)))
        with pytest.raises(ExpclipError, match=why):
            store.read(store.header.shard_rows(shard))


def test_rows_without_a_receipt_are_not_yet_written(store, fill, features):
    """A process was killed between a shard and its receipt."""
    fill(store)
    store.receipts.withdraw(1)
    values = store.read()
    assert np.isnan(values[8:16]).all()
    np.testing.assert_array_equal(values[:8], features[:8])


def test_receipts_of_older_versions_are_taken(store, fill, features):
    fill(store)
    for file in store.receipts.files():
        known = json.loads(file.read_text())
        file.write_text(json.dumps({name: known[name] for name in known if name not in ("crc32c", "content_digest")}))
    again = FeatureStore.open(store.path)
    assert again.is_complete()
    np.testing.assert_array_equal(again.read(), features)
