"""Every byte of a small cache is flipped: either that is found, or nothing that anybody takes from it changes."""

import os
from dataclasses import replace

import numpy as np
import pytest
from expclip.cache.cache import FILE_MEMORIES, Cache
from expclip.cache.memory import FileMemory
from expclip.cache.receipts import FailedRow
from expclip.cache.verify import check_cache, check_memories
from expclip.errors import ExpclipError

MASKS = (0x01, 0x20, 0x80)
"""Bits that are flipped: one that makes another digit, one that makes another case, one that makes no text."""

EVERYTHING = "TORTURE" in os.environ
"""Whether each byte is flipped in all of these ways; else it is one of them in turn."""


@pytest.fixture
def small(tmp_path, header, manifest) -> Cache:
    """A data set of three images with a store in which a row failed, and the memories of files."""
    cache = Cache(tmp_path / "cache")
    manifest = replace(manifest, origin=replace(manifest.origin, folder="three", path="/d/three", root="/d/three"))
    cache.save_manifest(manifest)
    store = cache.create_store(header(dataset="three", rows=3, rows_digest=manifest.rows.digest))
    failed = (FailedRow(1, "b.png", "this is no image"),)
    store.write_shard(0, np.arange(9, dtype=np.float16).reshape(3, 3) + 1, failed, device="cpu")
    memory = FileMemory(str, cache.root / FILE_MEMORIES[0])
    memory.of(tmp_path / "three" / "a.png", lambda path: "0" * 64)
    memory.keep()
    return cache


def found(cache: Cache) -> list[str]:
    read: list[int] = []
    every = [*check_cache(cache, cache.datasets(), read.append), *check_memories(cache)]
    return [f"{one.kind} {one.place.name}" for one in every if one.is_damage]


def meaning(cache: Cache) -> list:
    """Everything that commands take from a cache; what is refused is left out."""
    told: list = []
    entry = cache.entry("three")
    told.append(entry and (entry.title, entry.manifest, entry.root, entry.origin))
    try:
        manifest = cache.current_manifest("three")
        told.append(manifest and (manifest.digest, manifest.remarks, manifest.name, manifest.classes))
    except ExpclipError:
        told.append(None)
    for store in cache.stores():
        try:
            values = store.read().tobytes()
        except ExpclipError:
            values = None
        told.append((store.header, values, store.finished(), store.failed_rows()))
    memory = FileMemory(str, cache.root / FILE_MEMORIES[0])
    told.append(memory.of(cache.root.parent / "three" / "a.png", lambda path: "found out again"))
    return told


def test_a_sound_cache_has_no_damage(small):
    assert found(small) == []


def is_refused(one) -> bool:
    """Whether nothing is taken: no entry, no manifest, no features, or what is found out again."""
    return one in (None, "found out again") or (isinstance(one, tuple) and (one[1] is None or one[2] == {}))


def test_each_flipped_byte_is_found_or_changes_nothing(small):
    """No command takes another value: it takes what it took before, or refuses it, or finds it out again."""
    before = meaning(small)
    whole = set(map(repr, before))
    wrong: list[str] = []
    for file in sorted(path for path in small.root.rglob("*") if path.is_file()):
        content = file.read_bytes()
        for at in range(len(content)):
            for mask in MASKS if EVERYTHING else [MASKS[at % len(MASKS)]]:
                file.write_bytes(content[:at] + bytes([content[at] ^ mask]) + content[at + 1 :])
                now = meaning(Cache(small.root))
                others = [one for one in now if repr(one) not in whole]
                is_missed = repr(now) != repr(before) and not found(small)
                if is_missed or not all(map(is_refused, others)):
                    wrong.append(f"{file.relative_to(small.root)}: byte {at} of {len(content)}, {mask:#x}")
        file.write_bytes(content)
    assert wrong == []
