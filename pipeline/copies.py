"""Rows that are encoded already: in another store of the same encoder, whichever data set it was made for."""

import filecmp
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache as remember
from functools import cached_property
from pathlib import Path

import numpy as np

from ..cache.cache import Cache
from ..cache.header import Header
from ..cache.store import FeatureStore
from ..manifests.disk import holds_many
from ..manifests.manifest import NOT_ON_DISK, Manifest, Rows

_Key = tuple[str, int, int]
"""A row by its file, that file's size, and the picture within it."""


@dataclass(frozen=True, eq=False)
class Copy:
    """Rows of a shard that another store holds."""

    store: Path
    rows: np.ndarray
    """(n,) row numbers where they are wanted."""
    of: np.ndarray
    """(n,) row numbers where they are."""


class Copies:
    """Where the rows of one data set are encoded already."""

    def __init__(self, cache: Cache, manifest: Manifest):
        self._cache = cache
        self._manifest = manifest
        self._rows_of = remember(cache.rows_of_digest)
        self._places: dict[str, list[_Place]] = {}
        """By key of the wanted store."""

    def of_shard(self, header: Header, rows: range) -> tuple[Copy, ...]:
        """What other stores hold of some rows of the store with a header."""
        if self._manifest.kind == "texts" or not rows:
            return ()
        if header.key not in self._places:
            self._places[header.key] = list(self._donors(header))
        missing = dict.fromkeys(rows)
        found = []
        for place in self._places[header.key]:
            pairs = [(row, of) for row in missing if (of := place.row_of.get(row)) is not None]
            if pairs:
                wanted, held = np.array(pairs, dtype=np.int64).T
                found.append(Copy(place.store.path, wanted, held))
                missing = {row: None for row in missing if row not in place.row_of}
        return tuple(found)

    def _donors(self, header: Header) -> Iterator["_Place"]:
        """The other stores with features of this encoder, the ones of the same data set first."""
        own = self._manifest.folder
        wanted = _kind(header)
        for store in sorted(self._cache.stores(), key=lambda store: store.path.parent.name != own):
            folder, is_key = store.path.parent.name, store.header.key == header.key
            if _kind(store.header) == wanted and not (is_key and folder == own):
                rows = self._manifest.rows if is_key else self._rows_of(folder, store.header.rows_digest)
                if rows is not None:
                    yield _Place(store, rows, self._manifest, *self._roots(folder))

    def _roots(self, folder: str) -> tuple[str, str]:
        """The folders of the files of another data set and of this one; equal where they are the same files."""
        own = self._manifest.origin.root
        entry = self._cache.entry(folder)
        if folder == self._manifest.folder or entry is None or not entry.root:
            return own, own
        return str(Path(entry.root).resolve()), own


@dataclass(frozen=True, eq=False)
class _Place:
    """Another store, and which rows it holds."""

    store: FeatureStore
    rows: Rows
    manifest: Manifest
    root: str
    """The folder of its files."""
    own_root: str
    """The folder of the wanted ones."""

    @cached_property
    def row_of(self) -> dict[int, int]:
        """Where it has each wanted row that it holds."""
        held = self._held()
        is_same = self._sameness()
        found = {}
        for row, (source, size, frame) in enumerate(_keys(self.manifest.rows)):
            if size == NOT_ON_DISK:
                continue
            for name in self._names(source):
                of = held.get((name, size, frame))
                if of is not None and is_same(source, name):
                    found[row] = of
                    break
        return found

    def _held(self) -> dict[_Key, int]:
        """The finished rows that did not fail."""
        done = np.zeros(len(self.rows), dtype=bool)
        for shard, receipt in self.store.finished().items():
            start = self.store.header.shard_rows(shard).start
            done[start : start + receipt.rows] = True
            done[[failed.row for failed in receipt.failed]] = False
        return {key: row for row, key in enumerate(_keys(self.rows)) if done[row]}

    def _names(self, source: str) -> Iterator[str]:
        """What a wanted file may be called there: as the same file, or as one of the same name."""
        path = f"{self.own_root}/{source}"
        if self.root != self.own_root and path.startswith(f"{self.root}/"):
            yield path[len(self.root) + 1 :]
        yield source

    def _sameness(self) -> Callable[[str, str], bool]:
        """Whether a wanted file and one there are the same; of files that are both on disk the bytes say so."""

        @remember
        def is_same(source: str, name: str) -> bool:
            here, there = f"{self.own_root}/{source}", f"{self.root}/{name}"
            if here == there:
                return True
            try:
                return not Path(there).exists() or filecmp.cmp(here, there, shallow=False)
            except OSError:
                return False

        return is_same


def _kind(header: Header) -> tuple[object, ...]:
    """What two stores have in common whose rows can be exchanged."""
    return header.node, header.encoder_digest, header.dtype, header.row_shape


def _keys(rows: Rows) -> Iterator[_Key]:
    """A picture in a file of its own is told by that; which frame of its clip it is may change."""
    for source, size, frame in zip(rows.sources, rows.sizes.tolist(), rows.frames.tolist(), strict=True):
        yield source, size, frame if holds_many(source) else 0
