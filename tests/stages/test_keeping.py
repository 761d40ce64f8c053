"""`expclip cache verify`, `repair`, `gc` and `rm`: damage of each kind is found, named, withdrawn and made anew."""

import json
import os
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from expclip import aside
from expclip.aside import Process, beside
from expclip.cache.cache import Cache
from expclip.cache.claims import Claimant, Claims
from expclip.cache.files import seal
from expclip.cache.hdf5 import export_store, import_store
from expclip.cli import run
from expclip.commands import command
from expclip.commands.keeping import CollectGarbage, RemoveStores, RepairCache, VerifyCache
from expclip.errors import ExpclipError, UsageError
from expclip.stages.keeping import collect_garbage, remove_stores, repair_cache, verify_cache
from lab import Lab

HOW = {"clip": "miniature", "teacher": "miniature"}
DEAD = "00000000-7ffffff0-aaaaaa-abcdef"
"""The end of a temporary's name: its maker is a process of another machine."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory, labelled) -> Path:
    """A cache with three stores of images, texts and a head; its copies are damaged."""
    lab = Lab(tmp_path_factory.mktemp("whole") / "cache")
    lab.extract(labelled, instruction="related-1", **HOW)
    lab.fit_head(train=labelled, seed=1, epochs=1, batch_size=8, **HOW)
    lab.evaluate(labelled, prompts="P-1", head="none", clip="miniature")
    return lab.cache.root


@pytest.fixture
def cache(whole, tmp_path) -> Cache:
    shutil.copytree(whole, tmp_path / "cache")
    return Cache(tmp_path / "cache")


def the(cache: Cache, pattern: str) -> Path:
    return min(cache.root.glob(pattern))


def flip(file: Path, at: int = -9) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)


def verified(cache: Cache, *datasets: str, **how):
    return verify_cache(VerifyCache(datasets=datasets, cache=cache.root, **{"device": "cpu"} | how))


def damage(cache: Cache, *datasets: str) -> list[str]:
    return [one.problem for one in verified(cache, *datasets).problems if one.is_damage]


IMAGES, TOKENS = "labelled/clip_image-*.zarr", "labelled/query_tokens-*.zarr"
DAMAGES = {
    "a flipped bit in a shard": (f"{IMAGES}/features/c/0/0", flip, "shard 0: its bytes changed"),
    "a lost shard": (f"{TOKENS}/features/c/0/0/0", Path.unlink, "shard 0: its file is gone"),
    "a truncated shard": (f"{IMAGES}/features/c/0/0", lambda file: os.truncate(file, 100), "shard 0: "),
    "a flipped bit in a receipt": ("labelled/llm-*.receipts/00000.json", flip, "it changed since it was written"),
    "a header": (f"{IMAGES}/zarr.json", lambda file: flip(file, 400), "not a feature store"),
    "a description": (
        f"{TOKENS}/features/zarr.json",
        lambda file: file.write_text(file.read_text().replace('"token"', '"taken"')),
        "the description of its features changed",
    ),
    "a manifest": ("labelled/manifest-*.zarr/labels/c/0", flip, "it cannot be read"),
    "a note of a data set": ("labelled/current.json", flip, "it changed since it was written"),
    "texts": ("text/manifest-*.zarr/sources/c/0", flip, "it cannot be read"),
    "the features of texts": ("text/clip_text-*.zarr/features/c/0/0", flip, "shard 0: its bytes changed"),
    "what is remembered of weights": ("weights.json", flip, "it changed since it was written"),
    "a head's weights": ("heads/*/head.safetensors", flip, "its weights changed"),
    "a head's card": ("heads/*/head.json", lambda file: flip(file, 40), ""),
}


def test_a_sound_cache_has_nothing_to_report(cache):
    found = verified(cache)
    assert found.problems == ()
    assert (found.stores, found.heads, found.damage) == (4, 1, 0)
    assert found.rows == 3 * 42 + 11, "faces, and classes in the words of P-1"


@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_is_found_withdrawn_and_made_anew(cache, labelled, kind):
    pattern, harm, problem = DAMAGES[kind]
    before = values(cache)
    harm(the(cache, pattern))
    (found,) = damage(cache)
    assert problem in found
    request = RepairCache(cache=cache.root, run=True, device="cpu")
    repaired = repair_cache(request)
    assert damage(cache) == []
    lost = {"a header", "a head's card"}
    assert bool(repaired.unmade) == (kind in lost), repaired.unmade
    lab = Lab(cache.root)
    if kind == "a header":
        lab.extract(labelled, clip="miniature", features="clip_image")
    if "text" in kind:
        lab.evaluate(labelled, prompts="P-1", head="none", clip="miniature")
    assert damage(cache) == []
    assert values(cache) == before


def values(cache: Cache) -> dict[str, bytes]:
    """The features of each store, by its name."""
    return {store.path.name: store.read().tobytes() for store in cache.stores()}


def test_rows_are_named_and_the_exit_code_is_1(cache, capsys):
    flip(the(cache, f"{IMAGES}/features/c/0/0"))
    assert run(command("cache verify"), lambda: VerifyCache(cache=cache.root)) == 1
    said = capsys.readouterr()
    assert "0 … 41" in said.out
    assert "1 damaged" in said.out
    assert "expclip cache repair" in said.err
    assert run(command("cache repair"), lambda: RepairCache(cache=cache.root)) == 0
    assert "expclip extract" in capsys.readouterr().out
    assert run(command("cache verify"), lambda: VerifyCache(cache=cache.root)) == 0


def test_only_what_is_asked_for_is_looked_at(cache, labelled):
    flip(the(cache, f"{IMAGES}/features/c/0/0"))
    assert damage(cache, "heads", "text") == []
    assert len(damage(cache, str(labelled))) == 1
    assert len(damage(cache, "labelled")) == 1
    with pytest.raises(UsageError):
        damage(cache, "labeled")


def test_another_model_makes_nothing_anew(cache, monkeypatch):
    """Features of another model under the old name would be worse than none."""
    from expclip.encoders import families

    flip(the(cache, f"{IMAGES}/features/c/0/0"))
    node = families.Models.node

    def another(self, *how):
        found = node(self, *how)
        return replace(found, spec=found.spec | {"weights": "others"}) if found.name == "clip_image" else found

    monkeypatch.setattr(families.Models, "node", another)
    repaired = repair_cache(RepairCache(cache=cache.root, run=True, device="cpu"))
    assert "another model here" in repaired.unmade[0]
    assert len(list(cache.root.glob(IMAGES))) == 1


def test_rows_that_are_encoded_again_are_the_same(cache):
    found = verified(cache, reencode=5)
    assert [(one.rows, round(one.least_cosine, 5)) for one in found.drifts] == [(5, 1.0)] * 4
    assert found.damage == 0


def test_features_of_something_else_are_damage(cache):
    """Their checksums are right: only encoding them again shows it."""
    store = next(iter(cache.find("labelled", "clip_image")))
    store.write_shard(0, np.roll(store.read(), 1, axis=0), again=True)
    found = verified(cache, "labelled", reencode=42)
    assert [one.store for one in found.drifts if one.is_damage] == [store.path]
    assert run(command("cache verify"), lambda: VerifyCache(cache=cache.root, reencode=42, device="cpu")) == 1


def test_pictures_that_are_gone_are_noted(cache, labelled, tmp_path):
    entry = the(cache, "labelled/current.json")
    noted = {name: value for name, value in json.loads(entry.read_text()).items() if name != "content_digest"}
    entry.write_text(
        json.dumps(seal(noted | {"root": str(tmp_path / "gone"), "resolved_root": str(tmp_path / "gone")}))
    )
    found = verified(cache, "labelled", reencode=3)
    assert found.drifts == ()
    assert all("pictures are not here" in one.problem for one in found.problems)
    assert found.damage == 0


# gc and rm


def garbage(cache: Cache, delete: bool = False) -> set[str]:
    return {one.place.name for one in collect_garbage(CollectGarbage(cache=cache.root, delete=delete))}


def test_a_cache_in_order_has_no_garbage(cache):
    assert garbage(cache) == set()


def test_what_nobody_needs_is_listed_and_removed(cache, monkeypatch):
    store = the(cache, IMAGES)
    monkeypatch.setattr(aside, "_ABANDONED_SECONDS", -1.0)
    names = (f".x.json.{DEAD}", ".current.json.0a1b2c3d", "0.1a2b.partial")
    for name, folder in zip(names, (cache.root, store.parent, store / "features"), strict=True):
        (folder / name).write_text("half")
    (cache.root / "labelled" / "gone-0.receipts").mkdir()
    shutil.rmtree(the(cache, "text/manifest-*.zarr"))
    expected = {*names, "gone-0.receipts", the(cache, "text/clip_text-*.zarr").name}
    assert garbage(cache) == expected
    assert garbage(cache) == expected, "it is only listed"
    assert garbage(cache, delete=True) == expected
    assert garbage(cache) == set()
    assert damage(cache) == []


def test_what_a_fit_reached_is_garbage_when_nobody_went_on_with_it(cache, monkeypatch):
    kept = cache.heads / ".0123456789ab-0.unfinished"
    kept.write_bytes(b"weights")
    assert garbage(cache) == set()
    monkeypatch.setattr(aside, "_ABANDONED_SECONDS", -1.0)
    assert garbage(cache, delete=True) == {kept.name}
    assert not kept.exists() and damage(cache) == []


def test_what_a_living_process_makes_is_no_garbage(cache):
    store = next(iter(cache.stores("text")))
    shutil.rmtree(the(cache, "text/manifest-*.zarr"))
    beside(cache.root / "x.json").write_text("half")
    with Claims() as claims:
        assert claims.take([store.receipts.claim(0)])
        assert garbage(cache) == set()
        with pytest.raises(ExpclipError, match="a process makes something of it"):
            remove_stores(RemoveStores(what=(store.path.name,), cache=cache.root))
    assert garbage(cache) == {store.path.name}


def test_features_that_a_head_was_fitted_to_stay(cache):
    the(cache, "labelled/current.json").unlink()  # else a manifest that it names is missed
    for manifest in cache.root.glob("labelled/manifest-*.zarr"):
        shutil.rmtree(manifest)
    assert garbage(cache) == {the(cache, TOKENS).name}


def test_stores_and_data_sets_are_removed(cache):
    name = the(cache, TOKENS).name
    removed = remove_stores(RemoveStores(what=("query_tokens",), cache=cache.root))
    assert [one.place.name for one in removed] == [name, name.replace(".zarr", ".receipts")]
    assert all(one.bytes > 0 for one in removed)
    assert list(cache.root.glob(TOKENS)) == []
    remove_stores(RemoveStores(what=("labelled",), cache=cache.root))
    assert cache.datasets() == ["text"]


@pytest.mark.parametrize("what", ["-miniature-", "nothing", "", ".."])
def test_nothing_is_removed_where_one_name_is_wrong(cache, what):
    before = sorted(cache.root.rglob("*"))
    with pytest.raises(UsageError):
        remove_stores(RemoveStores(what=("query_tokens", what), cache=cache.root))
    assert sorted(cache.root.rglob("*")) == before


def leave_behind(place: Path) -> list[Path]:
    """What a process leaves behind that is killed at its very end: its claim, and what was aside."""
    maker = replace(Process.this(), run="000000")
    claim = place.with_suffix(".receipts") / "00000.claim"
    claim.write_text(json.dumps(asdict(Claimant(maker, "here"))))
    written = place.parent / f".current.json.{maker.host}-{maker.pid:x}-{maker.run}-0a0b0c"
    written.write_text("{}")
    return [claim, written]


def test_what_was_left_at_the_very_end_goes_with_the_next_run_also_where_all_is_there(lab, labelled):
    lab.evaluate(labelled, clip="miniature", prompts="P-1")
    left = [path for store in lab.cache.stores() for path in leave_behind(store.path)]
    assert len(left) == 4 and all(path.exists() for path in left)
    lab.evaluate(labelled, clip="miniature", prompts="P-1")
    assert not any(path.exists() for path in left)


def test_an_import_of_what_is_there_removes_what_an_earlier_one_left(lab, labelled, tmp_path):
    lab.extract(labelled, clip="miniature")
    (store,) = lab.cache.stores()
    export_store(store, None, tmp_path / "a.h5")
    other = Cache(tmp_path / "other")
    imported = import_store(other, tmp_path / "a.h5")
    left = leave_behind(imported.path)
    import_store(other, tmp_path / "a.h5")
    assert not any(path.exists() for path in left)
