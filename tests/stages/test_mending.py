"""`expclip cache repair` makes anew what was there, where it was, and nothing else."""

import json
import shutil
from pathlib import Path

import pytest
from expclip.cache.cache import Cache
from expclip.cache.receipts import Receipt
from expclip.commands.keeping import CollectGarbage, RepairCache, VerifyCache
from expclip.stages.keeping import collect_garbage, repair_cache, verify_cache
from lab import Lab

TITLE = "Gesichter"
SHARD = "features/c/0/0"
HOW = {"clip": "miniature", "teacher": "miniature"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory, labelled, photos) -> Path:
    """Two data sets, one under a title of its own and with two instructions, of the other the first 20 rows."""
    lab = Lab(tmp_path_factory.mktemp("whole") / "my cache")
    lab.extract(f"{TITLE}={labelled}", instruction=("related-1", "What does the face show?"), **HOW)
    lab.extract(photos, clip="miniature", features="clip_image", limit=20)
    lab.extract(photos, clip="miniature", features="clip_image", protocol="paper")
    return lab.cache.root


@pytest.fixture
def cache(whole, tmp_path) -> Cache:
    shutil.copytree(whole, tmp_path / "my cache")
    return Cache(tmp_path / "my cache")


def flip(file: Path, at: int = -9) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)


def content(cache: Cache) -> dict[str, tuple[bytes, dict[int, int]]]:
    """The features of each store, and how many rows each of its shards has, by its place."""
    stores = {store.path.relative_to(cache.root).as_posix(): store for store in cache.stores()}
    return {name: (store.read().tobytes(), rows(store.finished())) for name, store in stores.items()}


def rows(finished: dict[int, Receipt]) -> dict[int, int]:
    return {shard: receipt.rows for shard, receipt in finished.items()}


def repair(cache: Cache, run: bool = True):
    return repair_cache(RepairCache(cache=cache.root, run=run, device="cpu"))


def damage(cache: Cache) -> list[str]:
    return [one.problem for one in verify_cache(VerifyCache(cache=cache.root)).problems if one.is_damage]


def test_exactly_what_was_damaged_is_made_anew(cache, photos):
    """Data sets that lack different things, instructions, protocols, and the first rows of a data set."""
    before = content(cache)
    damaged = [
        *cache.root.glob(f"{TITLE}/llm-*.zarr/{SHARD}"),
        *cache.root.glob(f"{TITLE}/query_tokens-*.zarr/{SHARD}/0"),
        *cache.root.glob(f"{photos.name}/*.zarr/{SHARD}"),
    ]
    assert len(damaged) == 5
    for shard in damaged:
        flip(shard)
    repaired = repair(cache)
    assert repaired.unmade == ()
    assert content(cache) == before


def test_a_changed_note_is_written_again(cache):
    """Without it the features would be nobody's, and would be made again in another folder."""
    before = content(cache)
    note = cache.root / TITLE / "current.json"
    said = json.loads(note.read_text())
    note.write_text(note.read_text().replace('"stamp": "', '"stamp": "0'))
    assert len(damage(cache)) == 1
    repair(cache, run=False)
    assert damage(cache) == []
    now = json.loads(note.read_text())
    assert [now[name] for name in ("title", "path", "manifest")] == [said[n] for n in ("title", "path", "manifest")]
    assert content(cache) == before


@pytest.mark.parametrize("change", [("path", "/d/gone"), ("title", "Gesichtet"), ("manifest", "manifest-0.zarr")])
def test_a_note_whose_parts_do_not_fit_is_no_guess(cache, change):
    note = cache.root / TITLE / "current.json"
    note.write_text(json.dumps(json.loads(note.read_text()) | dict([change])))
    repaired = repair(cache)
    assert len(repaired.unmade) == 1
    assert "nobody knows where this data set is" in repaired.unmade[0]
    assert repaired.commands == ()


def test_the_note_of_another_data_set_is_damage(cache, photos):
    shutil.copy(cache.root / photos.name / "current.json", cache.root / TITLE)
    assert "another data set" in damage(cache)[0]
    repair(cache)
    assert damage(cache) == []


@pytest.mark.parametrize("harm", [shutil.rmtree, lambda path: flip(path / "labels" / "c" / "0")])
def test_a_manifest_is_read_again_for_the_features_that_are_there(cache, harm):
    before = content(cache)
    harm(next((cache.root / TITLE).glob("manifest-*.zarr")))
    assert len(damage(cache)) == 1
    repair(cache, run=False)
    assert damage(cache) == ["it is not there"], "until the command is run"
    assert collect_garbage(CollectGarbage(cache=cache.root)) == [], "its features will be needed"
    repair(cache)
    assert damage(cache) == []
    assert content(cache) == before


def test_where_nothing_says_what_a_data_set_is_there_is_no_command(cache):
    """A command that names the folder of the cache would find no data set."""
    (cache.root / TITLE / "current.json").unlink()
    flip(next(cache.root.glob(f"{TITLE}/clip_image-*.zarr/{SHARD}")))
    repaired = repair(cache)
    assert repaired.commands == ()
    assert len(repaired.unmade) == 1
