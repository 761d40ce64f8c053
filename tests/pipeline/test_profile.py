"""`extract --profile FILE`: a line per shard, in a file that holds nothing else."""

import csv
from pathlib import Path

import pytest
from expclip.errors import UsageError
from lab import Lab

pytestmark = pytest.mark.usefixtures("shards_of_eight")
COUNTS = ("shard", "rows", "failed", "copied", "batch_size")


def lines(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


def test_each_shard_is_a_line_and_a_later_run_adds_its_own(lab: Lab, photos, tmp_path):
    file = tmp_path / "profile.csv"
    lab.extract(photos, clip="miniature", limit=12, profile=file, batch_size=3)
    assert [tuple(line[name] for name in COUNTS) for line in lines(file)] == [
        ("0", "8", "0", "0", "3"),
        ("1", "4", "0", "0", "3"),
    ]
    lab.extract(photos, clip="miniature", profile=file, batch_size=5)
    found = lines(file)
    assert [line["shard"] for line in found] == ["0", "1", "1", "2", "3", "4"]
    assert {(line["dataset"], line["device"]) for line in found} == {("photos", "cpu")}
    receipts = {str(shard): one for store in lab.cache.stores() for shard, one in store.finished().items()}
    for line in found[2:]:
        receipt = receipts[line["shard"]]
        for part in ("read", "infer", "write"):
            assert float(line[f"{part}_seconds"]) == pytest.approx(receipt.seconds[part], abs=1e-6)


@pytest.mark.parametrize("content", ["notes\n", "written,dataset\n", "\0" * 400])
def test_a_file_that_is_something_else_stays_as_it_is(lab: Lab, photos, tmp_path, content):
    file = tmp_path / "notes.txt"
    file.write_text(content)
    with pytest.raises(UsageError, match="is something else: choose another"):
        lab.extract(photos, clip="miniature", profile=file)
    assert file.read_text() == content
    assert not list(lab.cache.stores())


def test_a_place_that_is_no_file_is_one_line(lab: Lab, photos, tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        lab.extract(photos, clip="miniature", profile=tmp_path)
