"""Looking at every byte of a cache: what is damaged, where, and which rows that costs."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from ..errors import ExpclipError, reason
from ..untrusted import parse_json, read_text
from .cache import FILE_MEMORIES, TEXT, Cache
from .entries import CURRENT, read_entry
from .files import is_sealed, read_json, unseal
from .keys import digest
from .manifest_store import read_manifest
from .own_parts import is_part
from .receipts import Receipt
from .store import DESCRIPTION, FeatureStore, checksum

_READERS = 2
_NOT_OURS = "it is no feature store, and not called as one: it is left alone"
Kind = Literal["store", "description", "receipt", "shard", "manifest", "entry", "memory", "head", "note"]


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, or a note of something that is not known."""

    kind: Kind
    place: Path
    """The store, manifest or head, or the file."""
    problem: str
    rows: str = ""
    """Which rows it costs, human-readable; empty where it costs none, or all."""
    shard: int | None = None

    @property
    def is_damage(self) -> bool:
        return self.kind != "note"


Count = Callable[[int], None]
"""Told how many rows were read."""


def check_cache(cache: Cache, folders: Iterable[str], count: Count) -> Iterator[Finding]:
    """What is wrong with some data sets of a cache: their stores, receipts, manifests and notes."""
    for folder in folders:
        manifests = _manifests(cache.root / folder)
        yield from (found for found in manifests.values() if isinstance(found, Finding))
        yield from _check_entry(cache.root / folder, manifests)
        known = {found.rows_digest for found in manifests.values() if isinstance(found, _Known)}
        for path, store in cache.opened(folder):
            if isinstance(store, ExpclipError):
                kind = "store" if is_part(path.name) else "note"
                yield Finding(kind, path, str(store).removeprefix(f"{path}: ") if kind == "store" else _NOT_OURS)
            else:
                yield from check_store(store, count)
                if store.header.rows_digest not in known:
                    yield Finding("note", path, "no manifest here has its rows: what they are of is unknown")


def check_memories(cache: Cache) -> Iterator[Finding]:
    """What is wrong with the files in which a cache remembers what was found out about others."""
    for file in (cache.root / name for name in FILE_MEMORIES):
        if file.exists() and not isinstance(_unsealed(file), dict):
            yield Finding("memory", file, "it changed since it was written, and is not believed")


class _Known(NamedTuple):
    """A manifest that is whole."""

    name: str
    rows_digest: str


def _manifests(folder: Path) -> dict[Path, Finding | _Known]:
    paths = sorted(path for path in folder.glob("manifest-*.zarr") if is_part(path.name))
    return {path: _check_manifest(path) for path in paths}


def _check_manifest(path: Path) -> Finding | _Known:
    """What is wrong with a manifest, or what it is."""
    try:
        manifest = read_manifest(path, "")
    except Exception as error:  # zarr has no single error for what is damaged
        return Finding("manifest", path, f"it cannot be read ({reason(error)})")
    if path.name != f"manifest-{manifest.digest[:12]}.zarr":
        return Finding("manifest", path, "its name is not the one of its content")
    return _Known(manifest.name, manifest.rows.digest)


def _check_entry(folder: Path, manifests: Mapping[Path, Finding | _Known]) -> Iterator[Finding]:
    entry, file = read_entry(folder), folder / CURRENT
    names = {found.name for found in manifests.values() if isinstance(found, _Known)}
    if entry is None and file.exists():
        yield Finding("entry", file, "it changed since it was written, or was never whole")
    elif entry is None and folder.name != TEXT and any(is_part(path.name) for path in folder.iterdir()):
        yield Finding(
            "note", folder, f"it has no {CURRENT}: where this data set is, and what it is called, is unknown"
        )
    elif entry is not None and folder / entry.manifest not in manifests:
        if names and entry.title not in names:
            yield Finding("entry", file, f"it is the one of another data set, {entry.title}")
        else:
            yield Finding("manifest", folder / entry.manifest, "it is not there")


def check_store(store: FeatureStore, count: Count) -> Iterator[Finding]:
    """What is wrong with a store that can be opened."""
    yield from _check_names(store)
    receipts = {file: store.receipts.get(int(file.stem)) for file in store.receipts.files()}
    for file, receipt in receipts.items():
        if receipt is None:
            rows = store.header.shard_rows(int(file.stem))
            yield Finding("receipt", file, "it changed since it was written, or is of another store", _span(rows))
    known = [receipt for receipt in receipts.values() if receipt is not None]
    yield from _check_shards(store, known, count)
    if any(receipt.crc32c is None for receipt in known):
        yield Finding("note", store.path, "an older version made it: its receipts do not say what the bytes must be")


def _check_names(store: FeatureStore) -> Iterator[Finding]:
    header, path = store.header, store.path
    if not (path.name.startswith(f"{header.node}-") and path.stem.endswith(f"-{header.key[:12]}")):
        yield Finding("store", path, f"its name is not the one of its key, {header.node}-…-{header.key[:12]}")
    if path.parent.name != header.dataset:
        yield Finding("note", path, f"it was made for {header.dataset}, and lies in another folder")
    if problem := _problem_of_metadata(path):
        yield Finding("description", path, problem)


def _check_shards(store: FeatureStore, receipts: list[Receipt], count: Count) -> Iterator[Finding]:
    with ThreadPoolExecutor(_READERS) as threads:
        problems = threads.map(lambda receipt: _problem_of_shard(store, receipt), receipts)
        for receipt, problem in zip(receipts, problems, strict=True):
            count(receipt.rows)
            if problem:
                rows = _span(store.header.shard_rows(receipt.shard))
                yield Finding("shard", store.path, f"shard {receipt.shard}: {problem}", rows, receipt.shard)


def _problem_of_metadata(path: Path) -> str:
    """What is wrong with what zarr and other readers are told of a store; empty where nothing is."""
    group, array = read_json(path / "zarr.json"), read_json(path / "features" / "zarr.json")
    if not isinstance(group, dict) or (group.get("zarr_format"), group.get("node_type")) != (3, "group"):
        return "its zarr.json is not the one of a group"
    noted = group["attributes"].get(DESCRIPTION)
    return "the description of its features changed" if noted is not None and noted != digest(array) else ""


def _problem_of_shard(store: FeatureStore, receipt: Receipt) -> str:
    rows = store.header.shard_rows(receipt.shard)
    try:
        values = store.read(rows)[: receipt.rows]
    except ExpclipError as error:
        found = re.search(r"is damaged \((.*)\): remove ", str(error))
        return found[1] if found else str(error)
    if checksum(values) != receipt.sha256:
        return "its rows are not those of its receipt"
    finite = np.isfinite(values.reshape(len(values), -1))
    failed = np.zeros(len(values), dtype=bool)
    failed[[one.row - rows.start for one in receipt.failed]] = True
    is_whole = (finite.any(axis=1) == ~failed).all() and (finite.all(axis=1) == ~failed).all()
    return "" if is_whole else "rows that failed hold numbers, or others do not"


def _span(rows: range) -> str:
    return f"{rows.start:,} … {rows.stop - 1:,}" if len(rows) else ""


def _unsealed(file: Path) -> object:
    """The content of a small file; None where it cannot be read or changed since it was written."""
    try:
        content = parse_json(read_text(file))
        return unseal(content) if isinstance(content, dict) and is_sealed(content) else content
    except (OSError, ValueError):
        return None
