"""`expclip cache`: what it holds, and handing stores over."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..cache.cache import TEXT, Cache
from ..cache.hdf5 import export_store, import_store
from ..cache.store import FeatureStore
from ..errors import UsageError


@dataclass(frozen=True)
class StoreLine:
    """One store, for a list."""

    path: Path
    dataset: str
    node: str
    model: str
    instruction: str
    protocol: str
    untrained: bool
    rows: int
    done: int
    failed: int
    bytes: int
    problem: str = ""
    """Why it cannot be read; all else but its path and data set is unknown then."""


def list_stores(cache: Cache) -> list[StoreLine]:
    """All feature stores of a cache with how far they are, and last what is named like a store and cannot be read."""
    unreadable = [
        StoreLine(path, path.parent.name, "", "", "", "", False, 0, 0, 0, _size(path), str(error))
        for path, error in cache.unreadable()
    ]
    return [_line(store) for store in cache.stores()] + unreadable


def _line(store: FeatureStore) -> StoreLine:
    header = store.header
    return StoreLine(
        path=store.path,
        dataset=header.dataset,
        node=header.node,
        model=header.model,
        instruction=header.instruction,
        protocol=header.protocol,
        untrained=header.untrained,
        rows=header.rows,
        done=store.rows_done(),
        failed=len(store.failed_rows()),
        bytes=_size(store.path),
    )


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def export(cache: Cache, name: str, path: Path) -> FeatureStore:
    """Export the store called `name` (its folder, or any part of its name that only it has) to an HDF5 file."""
    store = _named(cache, name)
    dataset, rows = store.header.dataset, store.header.rows_digest
    manifest = cache.texts().get(rows) if dataset == TEXT else cache.manifest_of(dataset, rows)
    export_store(store, manifest, path)
    return store


def import_(cache: Cache, paths: Sequence[Path]) -> list[FeatureStore]:
    """Import exported stores."""
    return [import_store(cache, path) for path in paths]


def _named(cache: Cache, name: str) -> FeatureStore:
    wanted = Path(name).name
    matching = [store for store in cache.stores() if wanted in store.path.name]
    exact = [store for store in matching if store.path.name == wanted]
    if len(exact or matching) != 1:
        names = ", ".join(store.path.name for store in matching) or "see `expclip cache list`"
        raise UsageError(f"{'several' if matching else 'no'} stores are called {name!r}: {names}")
    return (exact or matching)[0]
