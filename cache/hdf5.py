"""Stores as single HDF5 files, for handing over, and back."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..errors import ExpclipError, UsageError
from ..manifests.manifest import Manifest
from .cache import Cache
from .files import writing
from .keys import store_key
from .manifest_store import from_arrays, to_arrays
from .receipts import FailedRow, Receipt
from .store import FeatureStore, Header, checksum

_FORMAT = "expclip-store-1"


def export_store(store: FeatureStore, manifest: Manifest | None, path: Path) -> None:
    """Write a store with its receipts, and its data set's manifest, to one HDF5 file.

    `features` (rows, *row_shape) has one chunk a shard, with HDF5's Fletcher-32 checksums. Raises UsageError where
    the file exists.
    """
    header = store.header
    if path.exists():
        raise UsageError(f"{path} exists: choose another name or remove it")
    temporary = path.with_name(f".{path.name}.part")
    with writing(path):
        try:
            with h5py.File(temporary, "w") as file:
                file.attrs["format"] = _FORMAT
                file.attrs["header"] = json.dumps(asdict(header))
                receipts = store.receipts.read()
                file.attrs["receipts"] = json.dumps([asdict(receipts[shard]) for shard in sorted(receipts)])
                chunk = (min(header.rows, len(header.shard_rows(0))), *header.row_shape)
                features = file.create_dataset(
                    "features", (header.rows, *header.row_shape), header.dtype, chunks=chunk, fletcher32=True
                )
                for shard in range(header.shards):
                    rows = header.shard_rows(shard)
                    features[rows.start : rows.stop] = store.read(rows)
                if manifest is not None:
                    _write_manifest(file.create_group("manifest"), manifest)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def import_store(cache: Cache, path: Path) -> FeatureStore:
    """Bring an exported store into a cache. Shards that are already there are kept.

    Raises UsageError where the file is no export, ExpclipError where its contents contradict each other.
    """
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise UsageError(f"{path}: this is no HDF5 file that can be read ({error})") from error
    with file:
        header, receipts = _read_header(file, path)
        if "manifest" in file:
            manifest = _read_manifest(file, path)
            if manifest.name != header.dataset or manifest.rows.digest != header.rows_digest:
                raise ExpclipError(f"{path}: its manifest belongs to other features: export it again")
            cache.save_manifest(manifest)
        store = cache.create_store(header)
        present = store.receipts.read()
        for receipt in receipts:
            if receipt.shard not in present:
                _import_shard(store, receipt, file["features"], path)
    return store


def _read_header(file: h5py.File, path: Path) -> tuple[Header, list[Receipt]]:
    try:
        if file.attrs["format"] != _FORMAT:
            raise ValueError(f"its format is {file.attrs['format']}")
        content: dict[str, Any] = json.loads(str(file.attrs["header"]))
        header = Header(**{**content, "row_shape": tuple(content["row_shape"])})
        receipts = [
            Receipt(**{**one, "failed": tuple(FailedRow(**row) for row in one["failed"])})
            for one in json.loads(str(file.attrs["receipts"]))
        ]
        shape = file["features"].shape  # pyright: ignore[reportAttributeAccessIssue]
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path}: this is no exported store ({error})") from error
    names = (header.dataset, header.node)
    if any(not name or Path(name).name != name or name.startswith(".") for name in names):
        raise ExpclipError(f"{path}: its data set or node has a name that would leave the cache")
    if header.key != store_key(header.spec, header.rows_digest) or shape != (header.rows, *header.row_shape):
        raise ExpclipError(f"{path}: its header does not fit its contents: export it again")
    return header, receipts


def _import_shard(store: FeatureStore, receipt: Receipt, features: Any, path: Path) -> None:
    if not 0 <= receipt.shard < store.header.shards or receipt.key != store.header.key:
        raise ExpclipError(f"{path}: it has a receipt of another store")
    start = store.header.shard_rows(receipt.shard).start
    try:
        values = np.asarray(features[start : start + receipt.rows])
    except OSError as error:
        raise ExpclipError(f"{path}: shard {receipt.shard} is damaged ({error})") from error
    if checksum(values.astype(store.header.dtype)) != receipt.sha256:
        raise ExpclipError(f"{path}: shard {receipt.shard} changed since it was written")
    store.write_shard(
        receipt.shard,
        values,
        receipt.failed,
        seconds=receipt.seconds,
        device=receipt.device,
        batch_size=receipt.batch_size,
        versions=receipt.versions,
    )


def _write_manifest(group: h5py.Group, manifest: Manifest) -> None:
    known, arrays = to_arrays(manifest)
    group.attrs["known"] = json.dumps(known | {"root": manifest.root}, ensure_ascii=True)
    for name, array in arrays.items():
        group.create_dataset(name, data=array)


def _read_manifest(file: h5py.File, path: Path) -> Manifest:
    try:
        group = file["manifest"]
        known = json.loads(str(group.attrs["known"]))
        return from_arrays(known, lambda name: np.asarray(group[name][:]), known["root"])  # pyright: ignore
    except (KeyError, TypeError, ValueError) as error:
        raise ExpclipError(f"{path}: its manifest cannot be read ({error})") from error
