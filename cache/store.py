"""A feature store: one zarr v3 group of features, with its receipts beside it."""

import hashlib
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..errors import ExpclipError, reason
from ..untrusted import open_file, parse_json, read_text, refuse_pipes
from . import shard_file
from .files import flush, fsync, new_folder, read_json, writing
from .header import Header, parse_header
from .receipts import FailedRow, Receipt, Receipts

_READERS = 2
"""Threads that read shards: while one waits for the disk or copies, the other checks."""


if TYPE_CHECKING:
    import zarr


class FeatureStore:
    """Features of all rows of a data set under one frozen encoder, (rows, *row_shape)."""

    def __init__(self, path: Path, header: Header):
        self.path = path
        self.header = header
        self.receipts = Receipts(path.with_suffix(".receipts"), header)

    @classmethod
    def open(cls, path: Path) -> "FeatureStore":
        """Open an existing store. Raises ExpclipError where it is damaged or of another schema."""
        try:
            metadata = parse_json(read_text(path / "zarr.json"))
            return cls(path, parse_header(json.dumps(metadata["attributes"])))
        except Exception as error:
            why = f"not a feature store of this version ({reason(error)})"
            raise ExpclipError(f"{path}: {why}: remove it and run `expclip extract` again") from error

    @classmethod
    def create(cls, path: Path, header: Header) -> "FeatureStore":
        """Make an empty store, or open the one that is there. Values not yet written read as NaN."""
        if not path.exists():
            import zarr
            from zarr.codecs import Crc32cCodec

            with new_folder(path) as temporary:
                group = zarr.create_group(temporary, attributes=asdict(header))
                group.create_array(
                    "features",
                    shape=(header.rows, *header.row_shape),
                    dtype=header.dtype,
                    chunks=header.shard_shape,
                    shards=header.shard_shape,
                    compressors=[Crc32cCodec()],
                    fill_value=float("nan"),
                    dimension_names=("row", *["token"] * (len(header.row_shape) - 1), "embedding"),
                )
                flush(temporary)
                Receipts(path.with_suffix(".receipts"), header).withdraw_all()
        store = cls.open(path)
        if store.header.key != header.key:
            raise ExpclipError(f"{path} has the key {store.header.key[:16]}…, not {header.key[:16]}…: remove it")
        return store

    def write_shard(
        self,
        shard: int,
        features: np.ndarray,
        failed: tuple[FailedRow, ...] = (),
        seconds: dict[str, float] | None = None,
        again: bool = False,
        **circumstances: Any,
    ) -> Receipt:
        """Write a complete shard, then its receipt, which is returned.

        `features` (n, *row_shape) are the first n rows of the shard; the rest of it stays NaN, and so do failed rows.
        The time of writing is added to `seconds`; `circumstances` are the receipt's `cut`, `copied`, `device`,
        `batch_size` and `versions`. If another process finished these rows first, its shard and receipt are kept,
        unless rows were tried `again`. Raises ExpclipError where the disk refuses, or where a row that did not fail
        is not finite.
        """
        present = None if again else self.receipts.get(shard)
        if present is not None and present.rows >= len(features) and self._is_whole(shard):
            return present
        started = time.perf_counter()
        sha256 = self._write_values(shard, features, failed)
        seconds = {"write": 0.0} | (seconds or {})
        seconds["write"] += time.perf_counter() - started
        known = circumstances | {"seconds": seconds, "written": datetime.now(UTC).isoformat(timespec="seconds")}
        receipt = Receipt(self.header.key, shard, len(features), sha256, failed, **known)
        self.receipts.write(receipt)
        if self.receipts.get(shard) != receipt:
            raise ExpclipError(f"{self.receipts.path(shard)} does not read back as it was written: check the disk")
        return receipt

    def restore_shard(self, receipt: Receipt, features: np.ndarray) -> None:
        """Write a shard as another copy of this store has it, with its receipt, unless as many rows are here."""
        present = self.receipts.get(receipt.shard)
        if present is None or present.rows < receipt.rows:
            self._write_values(receipt.shard, features, receipt.failed)
            self.receipts.write(receipt)

    def _write_values(self, shard: int, features: np.ndarray, failed: tuple[FailedRow, ...]) -> str:
        """Replace a shard's file, after withdrawing its receipt; returns the checksum of the rows given."""
        rows = self.header.shard_rows(shard)
        values = np.full((len(rows), *self.header.row_shape), np.nan, dtype=self.header.dtype)
        done = values[: len(features)]
        with np.errstate(over="ignore"):
            done[:] = features
        missing = [row.row - rows.start for row in failed]
        done[missing] = np.nan
        bad = np.logical_not(np.isfinite(done.reshape(len(done), -1)).all(axis=1))
        bad[missing] = False
        if bad.any():
            row = rows[int(bad.argmax())]
            raise ExpclipError(f"{self.path}: row {row} did not fail but is not finite: the shard is not written")
        with writing(self.path):
            self.receipts.withdraw(shard)
            self._file(shard).unlink(missing_ok=True)  # zarr would read it first, damaged or not
            self._array("r+")[rows.start : rows.stop] = values
            fsync(self._file(shard))
            fsync(self._file(shard).parent)
        return checksum(done)

    def read(self, rows: range | None = None, into: np.ndarray | None = None) -> np.ndarray:
        """Features of a run of rows, by default all, as stored; NaN where they failed or are not yet written.

        `into` (rows, *row_shape) is filled and returned where it is given: memory that was used before is filled
        faster. Raises ExpclipError naming the shard whose bytes changed since they were written, or whose file is
        gone.
        """
        rows = rows if rows is not None else range(self.header.rows)
        shape = (len(rows), *self.header.row_shape)
        features = np.empty(shape, dtype=self.header.dtype) if into is None else into
        if features.shape != shape or features.dtype != self.header.dtype or not features.flags.c_contiguous:
            raise ValueError(f"features of the shape {shape} in {self.header.dtype} do not fit into that array")

        def read_shard(shard: int) -> None:
            of_shard = self.header.shard_rows(shard)
            wanted = range(max(rows.start, of_shard.start), min(rows.stop, of_shard.stop))
            part = features[wanted.start - rows.start : wanted.stop - rows.start]
            self._read_shard(shard, wanted, part)
            self._refuse_vanished(shard, wanted, part)

        with ThreadPoolExecutor(_READERS) as threads:
            list(threads.map(read_shard, self.header.shards_of(rows)))
        return features

    def read_scattered(self, rows: np.ndarray) -> np.ndarray:
        """(len(rows), *row_shape) of some rows, in any order, of shards that `read` found whole.

        Their checksums are not looked at again. Only for stores that are plain. Raises ExpclipError where a file is
        gone, or is shorter than it was.
        """
        out = np.empty((len(rows), *self.header.row_shape), dtype=self.header.dtype)
        per_shard, order = self.header.shard_shape[0], np.argsort(rows, kind="stable")
        shards, starts = np.unique(rows[order] // per_shard, return_index=True)

        def read_some(shard: int, places: np.ndarray) -> None:
            try:
                shard_file.read_rows(self._file(shard), rows[places] % per_shard, places, out)
            except (OSError, ValueError) as error:
                raise self._damage(shard, str(error)) from error

        with ThreadPoolExecutor(_READERS) as threads:
            list(threads.map(read_some, shards.tolist(), np.split(order, starts[1:])))
        return out

    def _read_shard(self, shard: int, wanted: range, part: np.ndarray) -> None:
        is_whole = part.shape == self.header.shard_shape
        values = part if is_whole else np.empty(self.header.shard_shape, dtype=self.header.dtype)
        try:
            if not (self.is_plain and shard_file.read_into(values, self._file(shard))):
                part[:] = self._array("r")[wanted.start : wanted.stop]
            elif not is_whole:
                first = self.header.shard_rows(shard).start
                part[:] = values[wanted.start - first : wanted.stop - first]
        except (ExpclipError, MemoryError):
            raise
        except OSError as error:
            raise ExpclipError(f"{self.path}: shard {shard} cannot be read ({error}): check the disk") from error
        except Exception as error:
            raise self._damage(shard, str(error)) from error

    def _refuse_vanished(self, shard: int, wanted: range, part: np.ndarray) -> None:
        """A missing file reads as NaN; of the rows that have a receipt, only failed ones may be NaN."""
        is_there = np.isfinite(part[:, *(0 for _ in self.header.row_shape)])
        receipt = None if is_there.all() else self.receipts.get(shard)
        if receipt is None:
            return
        rows = np.arange(wanted.start, wanted.stop)
        is_done = rows < self.header.shard_rows(shard).start + receipt.rows
        if receipt.failed:
            is_done[np.isin(rows, [row.row for row in receipt.failed])] = False
        if not is_there[is_done].all():
            is_gone = not self._file(shard).exists()
            raise self._damage(shard, "its file is gone" if is_gone else "rows that did not fail are NaN")

    def _damage(self, shard: int, why: str) -> ExpclipError:
        return ExpclipError(
            f"{self.path}: shard {shard} is damaged ({why}): remove {self.receipts.path(shard)} "
            f"and run `expclip extract` again, which rewrites that shard"
        )

    def _file(self, shard: int) -> Path:
        return self.path.joinpath("features", "c", str(shard), *("0" for _ in self.header.row_shape))

    def _array(self, mode: Literal["r", "r+"]) -> "zarr.Array":
        import zarr

        try:
            if mode == "r":
                refuse_pipes(self.path / "features")
            open_file(self.path / "features" / "zarr.json").close()
            array = zarr.open_array(self.path / "features", mode=mode, zarr_format=3)
        except Exception as error:  # zarr has no single error for broken metadata
            if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
                raise
            raise ExpclipError(
                f"{self.path}: the description of its features is damaged: remove it and run `expclip extract` again"
            ) from error
        if array.shape != (self.header.rows, *self.header.row_shape) or array.dtype != self.header.dtype:
            raise ExpclipError(f"{self.path}: its features do not fit its header: remove it and extract again")
        return array.with_config({"write_empty_chunks": True})

    @cached_property
    def is_plain(self) -> bool:
        """Whether the shards can be read without zarr."""
        return shard_file.is_plain(self.header, read_json(self.path / "features" / "zarr.json"))

    def finished(self) -> dict[int, Receipt]:
        """The receipts of the shards whose files are complete, by shard."""
        return {shard: receipt for shard, receipt in self.receipts.read().items() if self._is_whole(shard)}

    def _is_whole(self, shard: int) -> bool:
        """Whether a shard's file has its full length; what is in it is checked on reading."""
        try:
            size = self._file(shard).stat().st_size
        except OSError:
            return False
        return not self.is_plain or size == shard_file.size(self.header)

    def rows_done(self) -> int:
        """How many rows have a receipt and a file."""
        return sum(receipt.rows for receipt in self.finished().values())

    def is_complete(self) -> bool:
        return self.rows_done() == self.header.rows

    def cut_rows(self) -> tuple[int, ...]:
        """The rows of texts that were longer than the encoder reads, in order."""
        return tuple(row for receipt in self.receipts.read().values() for row in receipt.cut)

    def failed_rows(self) -> tuple[FailedRow, ...]:
        """The rows that could not be encoded, in order."""
        return tuple(row for receipt in self.receipts.read().values() for row in receipt.failed)


def checksum(features: np.ndarray) -> str:
    """SHA-256 over the bytes of features as stored."""
    return hashlib.sha256(np.ascontiguousarray(features).data.cast("B")).hexdigest()
