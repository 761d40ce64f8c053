"""What expclip did not write stays: in a cache, beside one, or behind a link that leads out of it."""

import os
import shutil
from pathlib import Path

import pytest
from expclip.cache.cache import Cache
from expclip.cache.claims import Claims
from expclip.commands.heads import RemoveHeads
from expclip.commands.keeping import CollectGarbage, RemoveStores, RepairCache, VerifyCache
from expclip.errors import UsageError
from expclip.stages.heads import remove_heads
from expclip.stages.keeping import collect_garbage, remove_stores, repair_cache, verify_cache
from lab import Lab

STORE = "photos/clip_image-*.zarr"


@pytest.fixture
def pictures(tmp_path, photos) -> Path:
    """A folder of somebody's folders, one of pictures, which is its own cache."""
    folder = tmp_path / "pictures"
    shutil.copytree(photos, folder / "photos")
    Lab(folder).extract(folder / "photos", clip="miniature", features="clip_image")
    return folder


def the(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def garbage(cache: Path) -> set[str]:
    return {one.place.name for one in collect_garbage(CollectGarbage(cache=cache, delete=True))}


def test_pictures_stay_where_the_cache_is_their_folder(pictures, photos):
    remove_stores(RemoveStores(what=("photos",), cache=pictures))
    assert files(pictures / "photos") == files(photos)


def test_what_only_looks_like_a_leftover_stays(pictures):
    """Downloads are called so, too."""
    for name in ("film.partial", ".song.part", ".notes.0a1b2c3d", "photos/.me.part", "photos/me.partial"):
        (pictures / name).parent.mkdir(exist_ok=True)
        (pictures / name).write_text("somebody's")
    before = files(pictures)
    assert garbage(pictures) == set()
    assert files(pictures) == before


def test_an_array_that_is_no_store_is_noted_and_stays(pictures):
    for folder in ("results", "photos"):
        (pictures / folder / "temperatures.zarr").mkdir(parents=True)
    found = verify_cache(VerifyCache(cache=pictures)).problems
    assert [(one.place.name, one.is_damage) for one in found] == [("temperatures.zarr", False)] * 2
    assert repair_cache(RepairCache(cache=pictures, run=True)).problems == ()
    with pytest.raises(UsageError):
        remove_stores(RemoveStores(what=("temperatures",), cache=pictures))
    assert len(list(pictures.glob("*/temperatures.zarr"))) == 2


def test_only_what_a_path_leads_to_is_removed(pictures, tmp_path):
    """A store of another cache may have the name of one here."""
    other = tmp_path / "other"
    shutil.copytree(pictures, other)
    store = the(other, STORE)
    with pytest.raises(UsageError):
        remove_stores(RemoveStores(what=(str(store),), cache=pictures))
    with pytest.raises(UsageError):
        remove_stores(RemoveStores(what=(str(other / "photos"),), cache=pictures))
    remove_stores(RemoveStores(what=(str(the(pictures, STORE)),), cache=pictures))
    remove_stores(RemoveStores(what=(str(other / "photos"),), cache=other))
    assert list(pictures.glob(STORE)) == list(other.glob(STORE)) == []


def test_what_a_link_leads_to_stays(pictures, tmp_path):
    """The data set belongs to another cache, where heads may need it."""
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "photos").symlink_to(pictures / "photos", target_is_directory=True)
    shutil.rmtree(the(pictures, "photos/manifest-*.zarr"))
    (pictures / "photos" / "gone-0.receipts").mkdir()
    before = files(pictures)
    assert garbage(mine) == set()
    remove_stores(RemoveStores(what=("photos",), cache=mine))
    assert files(mine) == set()
    assert files(pictures) == before


def test_receipts_stay_whose_store_is_on_a_disk_that_is_not_here(pictures, tmp_path):
    store = the(pictures, STORE)
    store.rename(tmp_path / "away.zarr")
    store.symlink_to(tmp_path / "not here" / "away.zarr")
    assert garbage(pictures) == set()


def test_a_folder_that_is_no_head_is_not_removed(tmp_path):
    """Its name is twelve digits by chance, or somebody keeps more in it than a head."""
    cache, thesis, project = tmp_path / "cache", tmp_path / "abcdef123456", tmp_path / "project"
    for folder, name in ((thesis, "thesis.txt"), (project, "head.json"), (project, "main.py")):
        folder.mkdir(exist_ok=True)
        (folder / name).write_text("somebody's")
    for folder in (thesis, project):
        with pytest.raises(UsageError, match="remove it yourself"):
            remove_heads(RemoveHeads(head=(str(folder),), cache=cache))
        assert files(folder)


def test_features_stay_whose_manifest_is_damaged(pictures):
    """To lose them would be worse than the damage."""
    manifest = the(pictures, "photos/manifest-*.zarr") / "zarr.json"
    digest = next(iter(Cache(pictures).stores("photos"))).header.rows_digest
    manifest.write_text(manifest.read_text().replace(digest, "0" * len(digest)))
    assert garbage(pictures) == set()


def test_a_claim_of_another_machine_lasts_a_day_at_most(pictures):
    """A container has another name when it is started again."""
    store = next(iter(Cache(pictures).stores("photos")))
    claim = store.receipts.claim(0)
    with Claims() as claims:
        assert claims.take([claim])
        text = claim.read_text()
    claim.write_text(text.replace('"host": "', '"host": "x'))
    assert garbage(pictures) == set()
    os.utime(claim, (0, 0))
    assert garbage(pictures) == {claim.name}
