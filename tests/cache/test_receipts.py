"""Receipts are believed only where they are whole and of this store."""

import json

import pytest
from expclip.cache.receipts import Receipt, Receipts
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
