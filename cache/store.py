"""A feature store: one zarr v3 group of features, and its receipts beside it."""

import hashlib
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec

from ..errors import ExpclipError
from .files import fsync, new_folder, writing
from .receipts import FailedRow, Receipt, Receipts

SCHEMA = 1
SHARD_ROWS = 1024
"""Rows a shard, the same for every node: 1 to 50 MB, the unit of work and of atomic writing."""


@dataclass(frozen=True)
class Header:
    """What a store says of itself."""

    dataset: str
    node: str
    model: str
    instruction: str
    """Name of the instruction; empty where the node has none."""
    protocol: str
    """"released" or "paper"; empty where the values do not depend on it."""
    untrained: bool
    """Whether the encoder has random weights: such features show that the machinery works, and nothing else."""
    spec: dict[str, Any]
    encoder_digest: str
    rows_digest: str
    key: str
    rows: int
    row_shape: tuple[int, ...]
    dtype: str = "float16"
    schema: int = SCHEMA
    wrote_by: str = ""

    @property
    def shards(self) -> int:
        return -(-self.rows // SHARD_ROWS)

    def shard_rows(self, shard: int) -> range:
        """Row numbers of a shard."""
        return range(shard * SHARD_ROWS, min((shard + 1) * SHARD_ROWS, self.rows))

    @property
    def bytes(self) -> int:
        return int(self.rows * np.prod(self.row_shape) * np.dtype(self.dtype).itemsize)


class FeatureStore:
    """Features of all rows of a data set under one frozen encoder, (rows, *row_shape)."""

    def __init__(self, path: Path, header: Header):
        self.path = path
        self.header = header
        self.receipts = Receipts(path.with_suffix(".receipts"), header.key)

    @classmethod
    def open(cls, path: Path) -> "FeatureStore":
        """Open an existing store. Raises ExpclipError where it is damaged or of another schema."""
        try:
            attributes: dict[str, Any] = dict(zarr.open_group(path, mode="r").attrs)
            header = Header(**{**attributes, "row_shape": tuple(attributes["row_shape"])})
        except Exception as error:
            raise ExpclipError(f"{path}: this is no feature store ({error}): remove it and extract again") from error
        if header.schema != SCHEMA:
            raise ExpclipError(f"{path}: its schema is {header.schema}, this version reads {SCHEMA}: extract again")
        return cls(path, header)

    @classmethod
    def create(cls, path: Path, header: Header) -> "FeatureStore":
        """Make an empty store, or open the one that is there. Values not yet written read as NaN."""
        if not path.exists():
            with new_folder(path) as temporary:
                group = zarr.create_group(temporary, attributes=asdict(header))
                shard = (min(SHARD_ROWS, header.rows), *header.row_shape)
                group.create_array(
                    "features",
                    shape=(header.rows, *header.row_shape),
                    dtype=header.dtype,
                    chunks=shard,
                    shards=shard,
                    compressors=[Crc32cCodec()],
                    fill_value=float("nan"),
                    dimension_names=("row", *_DIMENSIONS[: len(header.row_shape) - 1], "embedding"),
                    config={"write_empty_chunks": True},
                )
        store = cls.open(path)
        if store.header.key != header.key:
            raise ExpclipError(
                f"{path} belongs to the key {store.header.key[:16]}…, not {header.key[:16]}…: remove it"
            )
        return store

    @cached_property
    def _array(self) -> zarr.Array:
        array = zarr.open_group(self.path, mode="r+" if os.access(self.path, os.W_OK) else "r")["features"]
        assert isinstance(array, zarr.Array)
        return array.with_config({"write_empty_chunks": True})

    def write_shard(
        self, shard: int, features: np.ndarray, failed: tuple[FailedRow, ...] = (), **circumstances: Any
    ) -> Receipt:
        """Write a whole shard, then its receipt.

        `features` (n, *row_shape) are the first n rows of the shard; the rest of it stays NaN. `circumstances` are
        the receipt's `seconds`, `device`, `batch_size` and `versions`. Raises ExpclipError where the disk refuses.
        """
        rows = self.header.shard_rows(shard)
        values = np.full((len(rows), *self.header.row_shape), np.nan, dtype=self.header.dtype)
        values[: len(features)] = features
        with writing(self.path):
            self.receipts.withdraw(shard)
            self._array[rows.start : rows.stop] = values
            self._flush(shard)
        receipt = Receipt(
            key=self.header.key,
            shard=shard,
            rows=len(features),
            sha256=checksum(values[: len(features)]),
            failed=failed,
            written=datetime.now(UTC).isoformat(timespec="seconds"),
            **circumstances,
        )
        self.receipts.write(receipt)
        return receipt

    def _flush(self, shard: int) -> None:
        coordinates = (shard,) + (0,) * len(self.header.row_shape)
        file = self.path / "features" / self._array.metadata.encode_chunk_key(coordinates)
        fsync(file)
        fsync(file.parent)

    def read(self, rows: range | None = None) -> np.ndarray:
        """Features of a run of rows, by default of all, as stored.

        Raises ExpclipError naming the shard whose bytes changed since they were written.
        """
        rows = rows if rows is not None else range(self.header.rows)
        try:
            return np.asarray(self._array[rows.start : rows.stop])
        except Exception as error:
            raise self._damage(error) from error

    def _damage(self, error: Exception) -> ExpclipError:
        for shard in range(self.header.shards):
            rows = self.header.shard_rows(shard)
            try:
                self._array[rows.start : rows.stop]
            except Exception:
                return ExpclipError(
                    f"{self.path}: shard {shard} is damaged ({error}): remove {self.receipts.path(shard)} "
                    f"and run `expclip extract` again, which writes that shard anew"
                )
        return ExpclipError(f"{self.path}: cannot be read ({error})")

    def rows_done(self) -> int:
        """How many rows have a receipt."""
        return sum(receipt.rows for receipt in self.receipts.read().values())

    def is_complete(self) -> bool:
        return self.rows_done() == self.header.rows

    def failed_rows(self) -> tuple[FailedRow, ...]:
        """The rows that could not be encoded, in order."""
        receipts = self.receipts.read()
        return tuple(row for shard in sorted(receipts) for row in receipts[shard].failed)


_DIMENSIONS = ("token",)


def checksum(features: np.ndarray) -> str:
    """SHA-256 over the bytes of features as stored."""
    return hashlib.sha256(np.ascontiguousarray(features).data.cast("B")).hexdigest()
