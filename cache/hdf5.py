"""Stores as single HDF5 files to hand over, and back.

An exported file may come from anywhere: nothing in it is trusted before it is checked, and nothing is unpickled.
"""

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..errors import ExpclipError, UsageError, reason
from ..manifests.manifest import Manifest, Origin
from ..untrusted import open_file, parse_json
from .cache import ROOMS, TEXT, Cache
from .files import new_file
from .header import Header, is_name, parse_header
from .manifest_store import from_arrays, to_arrays
from .receipts import Receipt, fits, parse_receipt
from .store import FeatureStore, checksum

_LOCKED = ("unable to lock file", "already open for write", "Resource temporarily unavailable")
"""What HDF5 says of a file that is being written."""
_FORMAT = "expclip-store-1"
_FLETCHER32 = 3
"""HDF5's number of the only filter that an export has; another might be a bomb, or code that HDF5 loads."""


def export_store(store: FeatureStore, manifest: Manifest | None, path: Path) -> None:
    """Write the finished shards of a store with their receipts, and its data set's manifest, to one HDF5 file.

    `features` (rows, *row_shape) has one chunk per shard, with HDF5's Fletcher-32 checksums; unfinished shards read
    as NaN. Raises UsageError where the file exists.
    """
    header = store.header
    if path.exists():
        raise UsageError(f"{path} exists: choose another name or remove it")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"cannot write {path}: there is no folder {path.parent}: make it, or choose another FILE")
    with new_file(path, "FILE") as temporary, _Sink(temporary, "w+") as sink:
        with h5py.File(sink, "w") as file:
            receipts = list(store.receipts.read().values())
            file.attrs["format"] = _FORMAT
            file.attrs["header"] = json.dumps(asdict(header))
            file.attrs["receipts"] = json.dumps([asdict(receipt) for receipt in receipts])
            if manifest is not None:
                known, arrays = to_arrays(manifest)
                group = file.create_group("manifest")
                group.attrs["known"] = json.dumps(known | {"root": manifest.root})
                for name, array in arrays.items():
                    group.create_dataset(name, data=array)
            shape = (header.rows, *header.row_shape)
            features = file.create_dataset(
                "features", shape, header.dtype, chunks=header.shard_shape, fletcher32=True, fillvalue=np.nan
            )
            for receipt in receipts:
                rows = header.shard_rows(receipt.shard)
                features[rows.start : rows.stop] = store.read(rows)
                sink.raise_refusal()
        sink.raise_refusal()


class _Sink(io.FileIO):
    """A file that remembers that the disk refused and lets HDF5 finish, whose library would crash otherwise.

    A disk that takes some of the bytes only is asked again for the rest: HDF5 takes no notice of how many it took.
    """

    _refusal: OSError | None = None

    def write(self, data) -> int:
        return self._attempt(self._write_whole, data, len(data))

    def _write_whole(self, data) -> int:
        """The disk may take a part first, and refuse the rest only then."""
        rest = memoryview(data).cast("B")
        while rest:
            rest = rest[super().write(rest) :]
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        return self._attempt(super().truncate, size, size or 0)

    def _attempt(self, action: Callable[..., int], given: Any, on_refusal: int) -> int:
        try:
            return action(given)
        except OSError as error:
            self._refusal = self._refusal or error
            return on_refusal

    def raise_refusal(self) -> None:
        if self._refusal is not None:
            raise self._refusal


def import_store(cache: Cache, path: Path) -> FeatureStore:
    """Bring an exported store into a cache. Shards that are already there are kept.

    It is of the data set whose name and folder of files it names, and whose current manifest its own becomes; where
    the cache has another one that is called so, digits tell them apart. Raises UsageError where the file is not an
    export, ExpclipError where its contents contradict each other.
    """
    with _reading(path, UsageError):
        open_file(path).close()  # HDF5 would wait for a pipe
        file = h5py.File(path, "r", locking="best-effort")
    with file:
        with _reading(path, UsageError):
            header, receipts, features = _contents(file)
            manifest = _read_manifest(file, header) if "manifest" in file else None
            if (header.dataset == TEXT) != (manifest is not None and manifest.kind == "texts"):
                raise ValueError(f"{TEXT} is where the features of texts are, and of nothing else")
        cache.mark()
        header = replace(header, dataset=_folder(cache, header, manifest))
        store = cache.create_store(header)
        for receipt in receipts:
            with _reading(path, ExpclipError):
                values = _read_shard(features, header, receipt)
            store.restore_shard(receipt, values)
    if manifest is not None and cache.manifest_of(header.dataset, header.rows_digest) is None:
        cache.save_manifest(replace(manifest, origin=Origin(folder=header.dataset)))
    cache.tidy([store.path])
    return store


def _folder(cache: Cache, header: Header, manifest: Manifest | None) -> str:
    """The folder of an imported store: its own name, or with digits where a data set with other files has it."""
    if manifest is None:
        return header.dataset
    digits = hashlib.sha256(manifest.root.encode("utf-8", "surrogateescape")).hexdigest()[:6]
    for folder in (header.dataset, f"{header.dataset}-{digits}"):
        entry = cache.entry(folder)
        if entry is None or (entry.root == manifest.root and not entry.origin.path):
            return folder
    return f"{header.dataset}-{digits}-{header.rows_digest[:6]}"


@contextmanager
def _reading(path: Path, kind: type[ExpclipError]) -> Iterator[None]:
    """One line for whatever is wrong with an export."""
    try:
        yield
    except (OSError, RuntimeError, LookupError, TypeError, ValueError, AttributeError, MemoryError) as error:
        if isinstance(error, OSError) and any(sign in str(error) for sign in _LOCKED):
            raise ExpclipError(
                f"{path}: another program has this file open for writing, or left it so: wait until it has ended, or "
                f"copy the file and import the copy"
            ) from error
        raise kind(f"{path}: this exported store cannot be read ({reason(error)}): export it again") from error


def _contents(file: h5py.File) -> tuple[Header, list[Receipt], h5py.Dataset]:
    """Header, receipts and features of an export. Raises ValueError where they do not belong together."""
    if file.attrs.get("format") != _FORMAT:
        raise ValueError(f"its format is {file.attrs.get('format')}, not {_FORMAT}")
    link = file.visititems_links(lambda name, link: None if isinstance(link, h5py.HardLink) else name)
    if link is not None:
        raise ValueError(f"{link} is a link to something else")
    header = parse_header(str(file.attrs["header"]))
    receipts = [parse_receipt(json.dumps(receipt)) for receipt in parse_json(str(file.attrs["receipts"]))]
    if header.dataset.casefold() in ROOMS:
        raise ValueError(f"{header.dataset} is no data set but a part of every cache")
    features = file["features"]
    if not isinstance(features, h5py.Dataset):
        raise ValueError("its features are not an array")
    layout = (features.shape, features.dtype, features.chunks, features.compression)
    if layout != ((header.rows, *header.row_shape), np.dtype(header.dtype), header.shard_shape, None):
        raise ValueError("its features do not fit its header")
    if not _filters(features) <= {_FLETCHER32}:
        raise ValueError("its features are stored in another way than ours")
    return header, receipts, features


def _filters(array: h5py.Dataset) -> set[int]:
    known = array.id.get_create_plist()
    return {known.get_filter(k)[0] for k in range(known.get_nfilters())}


def _read_shard(features: h5py.Dataset, header: Header, receipt: Receipt) -> np.ndarray:
    """The finished rows of a shard. Raises ValueError where some are missing or are not those of the receipt."""
    start = header.shard_rows(receipt.shard).start
    if not fits(receipt, header):
        raise ValueError(f"the receipt of shard {receipt.shard} belongs to other features")
    stored = features.id.get_chunk_info_by_coord((start, *(0 for _ in header.row_shape)))
    if stored.size < np.prod(header.shard_shape) * features.dtype.itemsize:
        raise ValueError(f"shard {receipt.shard} is not complete")
    values = np.asarray(features[start : start + receipt.rows])
    if checksum(values) != receipt.sha256:
        raise ValueError(f"shard {receipt.shard} changed since it was written")
    return values


def _read_manifest(file: h5py.File, header: Header) -> Manifest:
    group = file["manifest"]
    known = parse_json(str(group.attrs["known"]))

    def array(name: str) -> np.ndarray:
        found = file[f"manifest/{name}"]
        if not isinstance(found, h5py.Dataset) or found.id.get_storage_size() != found.nbytes or found.external:
            raise ValueError(f"its manifest's {name} is not complete")
        if found.is_virtual or _filters(found):
            raise ValueError(f"its manifest's {name} is stored in another way than ours")
        return np.asarray(found[:])

    manifest = from_arrays(known, array, known["root"])
    if manifest.rows.digest != header.rows_digest or not is_name(manifest.name):
        raise ValueError("its manifest belongs to other features")
    return manifest
