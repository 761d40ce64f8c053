"""A feature store: one zarr v3 group of features, with its receipts beside it."""

import hashlib
import json
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..errors import ExpclipError, reason
from ..untrusted import open_file, parse_json, read_text, refuse_pipes
from . import shard_file
from .files import flush, fsync, new_folder, read_json, seal, unseal, writing
from .header import Header, parse_header
from .keys import digest
from .receipts import FailedRow, Receipt, Receipts

_READERS = 2
"""Threads that read shards: while one waits for the disk or copies, the other checks."""
_TRIES = 5
"""How often a shard is read or written while another process replaces it."""
DESCRIPTION = "description"
"""Attribute of the group: the digest of what zarr notes of its array."""

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
            attributes = parse_json(read_text(path / "zarr.json"))["attributes"]
            store = cls(path, parse_header(json.dumps(attributes)))
            unseal(attributes)
        except Exception as error:
            why = f"not a feature store of this version ({reason(error)})"
            raise ExpclipError(f"{path}: {why}: remove it and run `expclip extract` again") from error
        return store

    @classmethod
    def create(cls, path: Path, header: Header) -> "FeatureStore":
        """Make an empty store, or open the one that is there. Values not yet written read as NaN."""
        if not path.exists():
            import zarr
            from zarr.codecs import Crc32cCodec

            receipts = Receipts(path.with_suffix(".receipts"), header)
            with new_folder(path) as temporary:
                group = zarr.create_group(temporary)
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
                described = {DESCRIPTION: digest(read_json(temporary / "features" / "zarr.json"))}
                group.update_attributes(seal(asdict(header) | described))
                flush(temporary)
                stale, made = receipts.present(), temporary.stat().st_ino
            if path.stat().st_ino == made:  # only who makes a store knows that no receipt can be its own
                receipts.remove(stale)
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
        The time of writing is added to `seconds`; `circumstances` are the receipt's `cut`, `copied`, `load_seconds`,
        `device`, `batch_size` and `versions`. If another process finished these rows first, its shard and receipt are
        kept, unless rows were tried `again`. Raises ExpclipError where the disk refuses, or where a row that did not
        fail is not finite.
        """
        present = None if again else self.whole(shard, len(features))
        if present is not None:
            return present
        started = time.perf_counter()
        values = self._shard_of(shard, features, failed)
        sha256 = checksum(values[: len(features)])
        spent = {"write": 0.0} | (seconds or {})

        def receipt(crc32c: int) -> Receipt:
            took = spent | {"write": spent["write"] + time.perf_counter() - started}
            known = circumstances | {"seconds": took, "written": datetime.now(UTC).isoformat(timespec="seconds")}
            return Receipt(self.header.key, shard, len(features), sha256, failed, crc32c=crc32c, **known)

        return self._replace(shard, values, receipt, again)

    def restore_shard(self, receipt: Receipt, features: np.ndarray) -> None:
        """Write a shard as another copy of this store has it, with its receipt, unless as many rows are here."""
        if self.whole(receipt.shard, receipt.rows) is None:
            values = self._shard_of(receipt.shard, features, receipt.failed)
            self._replace(receipt.shard, values, lambda crc32c: replace(receipt, crc32c=crc32c))

    def whole(self, shard: int, rows: int = 1) -> Receipt | None:
        """The receipt of a shard with at least so many rows, whose file is the one that it speaks of."""
        receipt = self.receipts.get(shard)
        return receipt if receipt is not None and receipt.rows >= rows and self._is_whole(receipt) else None

    def _shard_of(self, shard: int, features: np.ndarray, failed: tuple[FailedRow, ...]) -> np.ndarray:
        """(shard_shape) what a shard's file is to hold. Raises ExpclipError for a row that is not finite by fault."""
        rows = self.header.shard_rows(shard)
        values = np.full(self.header.shard_shape, np.nan, dtype=self.header.dtype)
        done = values[: len(features)]
        with np.errstate(over="ignore"):
            done[:] = features
        missing = [row.row - rows.start for row in failed]
        done[missing] = np.nan
        bad = np.logical_not(shard_file.finite_rows(done))
        bad[missing] = False
        if bad.any():
            row = rows[int(bad.argmax())]
            raise ExpclipError(f"{self.path}: row {row} did not fail but is not finite: the shard is not written")
        return values

    def _replace(
        self, shard: int, values: np.ndarray, receipt: Callable[[int], Receipt], again: bool = False
    ) -> Receipt:
        """Withdraw a shard's receipt, replace its file and write the new receipt, which is returned.

        Another process may do the same at the same moment. In the end file and receipt belong together: where
        another's do, they are kept, and where one's file came before the other's receipt, it is done again.
        """
        for _ in range(_TRIES):
            with writing(self.path):
                self.receipts.withdraw(shard)
                new = receipt(self._write_file(shard, values))
                others = None if again else self.whole(shard, new.rows)
                if others is not None:
                    return others
                self.receipts.write(new)
            kept = self.whole(shard, new.rows)
            if kept is not None:
                return kept
            time.sleep(random.uniform(0.01, 0.1))
        raise ExpclipError(f"{self.receipts.path(shard)} does not read back as it was written: check the disk")

    def _write_file(self, shard: int, values: np.ndarray) -> int:
        file = self._file(shard)
        if self.is_plain:
            found = shard_file.replace(file, values)
        else:
            rows = self.header.shard_rows(shard)
            file.unlink(missing_ok=True)  # zarr would read it first, damaged or not
            self._array("r+")[rows.start : rows.stop] = values[: len(rows)]
            fsync(file)
            found = shard_file.crc32c(values)
        for folder in file.parents[: 1 + len(self.header.row_shape)]:
            fsync(folder)
        return found

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

        def part_of(shard: int) -> tuple[range, np.ndarray]:
            of_shard = self.header.shard_rows(shard)
            wanted = range(max(rows.start, of_shard.start), min(rows.stop, of_shard.stop))
            return wanted, features[wanted.start - rows.start : wanted.stop - rows.start]

        shards = self.header.shards_of(rows)
        with ThreadPoolExecutor(_READERS) as threads:
            found = list(threads.map(lambda shard: self._read_shard(shard, *part_of(shard)), shards))
        for shard, crc32c in zip(shards, found, strict=True):
            self._check(shard, *part_of(shard), crc32c)
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

    def _read_shard(self, shard: int, wanted: range, part: np.ndarray) -> int:
        """Fill `part` with the wanted rows of a shard's file; returns the CRC-32C of all of it."""
        if part.shape == self.header.shard_shape:
            return self._read_file(shard, part)
        values = np.empty(self.header.shard_shape, dtype=self.header.dtype)
        crc32c = self._read_file(shard, values)
        first = self.header.shard_rows(shard).start
        part[:] = values[wanted.start - first : wanted.stop - first]
        return crc32c

    def _check(self, shard: int, wanted: range, part: np.ndarray, crc32c: int) -> None:
        """Raise ExpclipError where what was read of a shard is not what its receipt speaks of."""
        for _ in range(_TRIES):
            receipt = self.receipts.get(shard)
            if receipt is None or receipt.crc32c in (None, crc32c):
                self._refuse_contradiction(shard, wanted, part, receipt)
                return
            crc32c = self._read_shard(shard, wanted, part)
            if receipt.crc32c != crc32c and self.receipts.get(shard) == receipt:
                raise self._damage(shard, "its bytes are not those of its receipt")
        raise ExpclipError(f"{self.path}: another process writes shard {shard}: run the command again when it ended")

    def _read_file(self, shard: int, values: np.ndarray) -> int:
        """Fill `values` (shard_shape) with what a shard's file holds, or with NaN; returns their CRC-32C."""
        try:
            found = shard_file.read_into(values, self._file(shard)) if self.is_plain else None
            if found is not None:
                return found
            values[:] = np.nan
            rows = self.header.shard_rows(shard)
            if not self.is_plain or self._file(shard).exists():
                values[: len(rows)] = self._array("r")[rows.start : rows.stop]
            return shard_file.crc32c(values)
        except (ExpclipError, MemoryError):
            raise
        except OSError as error:
            raise ExpclipError(f"{self.path}: shard {shard} cannot be read ({error}): check the disk") from error
        except Exception as error:  # zarr has no single error for what is damaged
            has_changed = "checksum" in str(error)
            why = "its bytes changed since they were written" if has_changed else reason(error)
            raise self._damage(shard, why) from error

    def _refuse_contradiction(self, shard: int, wanted: range, part: np.ndarray, receipt: Receipt | None) -> None:
        """Of the rows that have a receipt, the failed ones must be NaN, and only they."""
        if receipt is None:
            part[:] = np.nan
            return
        stop = self.header.shard_rows(shard).start + receipt.rows
        part[max(0, stop - wanted.start) :] = np.nan
        is_there = np.isfinite(part[:, *(0 for _ in self.header.row_shape)])
        if is_there.all() and not receipt.failed:
            return
        rows = np.arange(wanted.start, wanted.stop)
        is_done = rows < stop
        has_failed = np.isin(rows, [row.row for row in receipt.failed]) if receipt.failed else np.zeros_like(is_done)
        if (is_there & has_failed).any():
            raise self._damage(shard, "rows that failed are not NaN")
        if (is_done & ~has_failed & ~is_there).any():
            raise self._damage(shard, "rows that did not fail are NaN")

    def _damage(self, shard: int, why: str) -> ExpclipError:
        why = why if self._file(shard).exists() else "its file is gone"
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
        return {shard: receipt for shard, receipt in self.receipts.read().items() if self._is_whole(receipt)}

    def _is_whole(self, receipt: Receipt) -> bool:
        """Whether a shard's file has its full length and is the one of its receipt; reading checks what is in it."""
        file = self._file(receipt.shard)
        if not self.is_plain:
            return file.exists()
        noted = shard_file.noted_crc32c(file, self.header)
        return noted is not None and receipt.crc32c in (None, noted)

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
