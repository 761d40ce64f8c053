"""`expclip cache`: what it holds, and handing stores over."""

from contextlib import suppress
from pathlib import Path

from ..cache.cache import TEXT, Cache
from ..cache.store import FeatureStore
from ..commands.cache import ExportStore, ImportStores, ListCache, StoreLine
from ..errors import UsageError
from ..pipeline.beginning import say_new
from ..pipeline.checks import refuse_file
from ..settings import cache_folder, read_settings


def list_cache(request: ListCache) -> list[StoreLine]:
    """The feature stores of the cache, and last what is named like a store and cannot be read."""
    cache = _cache(request.cache)
    if not cache.root.is_dir():
        raise UsageError(f"{cache.root}: there is no cache here")
    unreadable = [
        StoreLine(path, path.parent.name, bytes=_size(path), problem=str(error)) for path, error in cache.unreadable()
    ]
    return [_line(store) for store in cache.stores()] + unreadable


def _cache(folder: Path | None) -> Cache:
    return Cache(cache_folder(folder, read_settings()))


def _line(store: FeatureStore) -> StoreLine:
    names = ("dataset", "node", "model", "instruction", "protocol", "untrained", "rows")
    known = {name: getattr(store.header, name) for name in names}
    done, failed = store.rows_done(), len(store.failed_rows())
    return StoreLine(store.path, **known, done=done, failed=failed, bytes=_size(store.path))


def _size(folder: Path) -> int:
    """Bytes of the files in a folder; what another process removes meanwhile counts nothing."""
    total = 0
    for file in folder.rglob("*"):
        with suppress(OSError):
            total += file.stat().st_size if file.is_file() else 0
    return total


def export_store(request: ExportStore) -> FeatureStore:
    """Export the store of a name (its folder, or any part of its name that only it has) to an HDF5 file."""
    refuse_file(request.file)
    if request.file.exists():
        raise UsageError(f"{request.file} exists: choose another name or remove it")
    if not request.file.absolute().parent.is_dir():
        raise UsageError(f"{request.file}: there is no folder {request.file.parent}: make it, or choose another")
    cache = _cache(request.cache)
    store = _named(cache, request.store)
    dataset, rows = store.header.dataset, store.header.rows_digest
    manifest = cache.texts().get(rows) if dataset == TEXT else cache.manifest_of(dataset, rows)
    from ..cache import hdf5  # by h5py

    hdf5.export_store(store, manifest, request.file)
    return store


def import_stores(request: ImportStores) -> list[FeatureStore]:
    """Import exported stores."""
    from ..cache import hdf5

    cache = _cache(request.cache)
    say_new(cache)
    return [hdf5.import_store(cache, path) for path in request.files]


def _named(cache: Cache, name: str) -> FeatureStore:
    wanted = Path(name).name
    matching = [store for store in cache.stores() if wanted in store.path.name]
    exact = [store for store in matching if store.path.name == wanted]
    if len(exact or matching) != 1:
        names = ", ".join(store.path.name for store in matching) or "see `expclip cache list`"
        raise UsageError(f"{'several stores match' if matching else 'no store matches'} {name!r}: {names}")
    return (exact or matching)[0]
