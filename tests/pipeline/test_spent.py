"""What the time of an extraction went into."""

from expclip.cache.receipts import Receipt
from expclip.pipeline import workspace
from expclip.pipeline.events import ShardFinished
from expclip.pipeline.spent import Spent


def spent(*shards: dict) -> Spent:
    found = Spent()
    for k, shard in enumerate(shards):
        known = {"rows": 100, "seconds": {"read": 1.0, "infer": 8.0, "write": 1.0}} | shard
        found.note(ShardFinished("faces", known.pop("store", "a.zarr"), Receipt("key", k, sha256="", **known)))
    return found


def test_rows_a_second_and_shares_are_said_of_each_store():
    found = dict(spent({}, {}, {"store": "b.zarr", "rows": 50}).lines())
    assert found == {
        "a.zarr": "200 rows in 20 s, 10.0 a second: encoding 80 %, waiting for images 10 %, writing 10 %",
        "b.zarr": "50 rows in 10 s, 5.0 a second: encoding 80 %, waiting for images 10 %, writing 10 %",
    }


def test_what_is_the_limit_is_said_with_what_to_change():
    waits = spent({"seconds": {"read": 5.0, "infer": 4.0, "write": 1.0}})
    writes = spent({"seconds": {"read": 1.0, "infer": 4.0, "write": 5.0}})
    assert [said.partition("; ")[2] for found in (waits, writes) for _, said in found.lines()] == [
        "images are read more slowly than they are encoded: more workers may help, or a faster disk",
        "the disk is the limit",
    ]


def test_rows_that_were_copied_are_no_work():
    assert dict(spent({"copied": 100, "seconds": {}}).lines()) == {}
    ((_, said),) = spent({"copied": 40}).lines()
    assert said.startswith("60 rows in 10 s, 6.0 a second")


def test_a_run_of_some_length_says_it_and_a_short_one_does_not(lab, photos, monkeypatch, capsys):
    lab.extract(photos, clip="miniature", features="clip_image")
    assert "a second: encoding" not in capsys.readouterr().err
    monkeypatch.setattr(workspace, "WORTH_SAYING", 0.0)
    lab.extract(photos, clip="ViT-B-32@random", features="clip_image", limit=4)
    assert "4 rows in" in (said := capsys.readouterr().err) and "a second: encoding" in said
