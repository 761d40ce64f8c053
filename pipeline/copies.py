"""Rows that are encoded already: in another store of the same encoder, whichever data set it was made for."""

import filecmp
from collections.abc import Iterator
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
        missing = list(rows)
        found = []
        for place in self._places[header.key]:
            pairs = [(row, of) for row in missing if (of := place.of(row)) is not None]
            if pairs:
                wanted, held = np.array(pairs, dtype=np.int64).T
                found.append(Copy(place.store.path, wanted, held))
                missing = sorted(set(missing) - {row for row, _ in pairs})
        return tuple(found)

    def _donors(self, header: Header) -> Iterator["_Place"]:
        """The other stores with features of this encoder, the ones of the same data set first."""
        own, own_root = self._manifest.folder, self._manifest.origin.root
        wanted = _kind(header)
        for store in self._stores:
            folder, is_key = store.path.parent.name, store.header.key == header.key
            if _kind(store.header) == wanted and not (is_key and folder == own):
                rows = self._manifest.rows if is_key else self._rows_of(folder, store.header.rows_digest)
                root = own_root if folder == own else self._cache.root_of(folder)
                if rows is not None and root is not None:
                    yield _Place(store, rows, self._wanted, own_root, root or own_root)

    @cached_property
    def _stores(self) -> list[FeatureStore]:
        """All stores of the cache, those of this data set first."""
        own = self._manifest.folder
        return sorted(self._cache.stores(), key=lambda store: store.path.parent.name != own)

    @cached_property
    def _wanted(self) -> list[_Key]:
        return list(_keys(self._manifest.rows))


@dataclass(frozen=True, eq=False)
class _Place:
    """Another store, and which rows it holds."""

    store: FeatureStore
    rows: Rows
    wanted: list[_Key]
    own_root: str
    """The folder of the wanted files."""
    root: str
    """The folder of its files; the same where it is the same data set, or unknown."""

    def of(self, row: int) -> int | None:
        """Where it has a wanted row; None where it does not."""
        source, size, frame = self.wanted[row]
        if size == NOT_ON_DISK:
            return None
        held = ((name, self._held.get((name, size, frame))) for name in self._names(source))
        return next((of for name, of in held if of is not None and self._is_same(source, name)), None)

    @cached_property
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

    def _is_same(self, source: str, name: str) -> bool:
        """Whether a wanted file and one there are the same; of files that are both on disk the bytes say so."""
        here, there = f"{self.own_root}/{source}", f"{self.root}/{name}"
        if here == there:
            return True
        if not Path(there).exists():
            return self._is_gone
        try:
            return filecmp.cmp(here, there, shallow=False)
        except OSError:
            return False

    @cached_property
    def _is_gone(self) -> bool:
        """Whether none of its files is there any more: the data set was moved."""
        return not any((Path(self.root) / source).exists() for source in dict.fromkeys(self.rows.sources))


def _kind(header: Header) -> tuple[object, ...]:
    """What two stores have in common whose rows can be exchanged."""
    return header.node, header.encoder_digest, header.dtype, header.row_shape


def _keys(rows: Rows) -> Iterator[_Key]:
    """A picture in a file of its own is told by that; which frame of its clip it is may change."""
    for source, size, frame in zip(rows.sources, rows.sizes.tolist(), rows.frames.tolist(), strict=True):
        yield source, size, frame if holds_many(source) else 0
