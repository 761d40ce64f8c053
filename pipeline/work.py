"""The work of one task: encode a shard for every node that misses it, write it whole, then its receipts."""

import platform
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from ..cache import header
from ..cache.files import printable
from ..cache.receipts import FailedRow, Receipt
from ..cache.shard_file import finite_rows
from ..cache.store import FeatureStore
from ..encoders.node import Fetch, Node
from ..encoders.picture_errors import ImageError
from ..errors import ExpclipError, option
from .decode import Batch
from .events import Emit, RowsEncoded, ShardFinished
from .plan import Job, Task
from .sparing import Sparing

Load = Callable[[Node], Sparing]
Write = Callable[[], list[Receipt]]
"""Writes the shards of a task and their receipts, which it returns."""


def encode_task(task: Task, batches: Iterable[Batch], load: Load, device: str, batch_size: int, emit: Emit) -> Write:
    """Run a task: images first, then what is computed from query tokens or texts. What is returned writes it.

    `batches` are the decoded images of the task, in order. Raises ExpclipError where an encoder gives NaN, values
    beyond float16, or the same features for different inputs; nothing of the task is written then.
    """
    work = {job.node.digest: _ShardWork(task, job) for job in task.jobs}
    _encode_pixels(task, batches, work, load, emit)
    for job in task.jobs:
        if job.node.input != "pixels":
            _encode_derived(task, job, work, load, batch_size, emit)
    for shard in work.values():
        shard.refuse_constant()

    def write() -> list[Receipt]:
        receipts = []
        for shard in work.values():
            at_once = min(batch_size, shard.most or batch_size)
            receipt = shard.write(device=device, batch_size=at_once, versions=versions())
            emit(ShardFinished(task.dataset, shard.store.path.name, receipt))
            receipts.append(receipt)
        return receipts

    return write


class _ShardWork:
    """The features of one store's shard while they are made."""

    def __init__(self, task: Task, job: Job):
        self.task = task
        self.node = job.node
        self.rows = job.rows(task.stop)
        """(n,) numbers of the rows that are encoded now."""
        self.store = FeatureStore.open(job.store)
        shape = (task.stop - task.first, *self.store.header.row_shape)
        self.values = np.full(shape, np.nan, dtype=self.store.header.dtype)
        self.failed: dict[int, FailedRow] = {}
        """The rows that have no features, by row number."""
        self.cut: set[int] = set()
        """Rows of texts whose ends are not read."""
        self.first_frames: set[int] = set()
        """Rows of files that hold more pictures than the one that was read."""
        self.seconds = {"read": 0.0, "infer": 0.0}
        self.load_seconds = 0.0
        self.most: int | None = None
        """Rows that the memory allowed at once, where that was less than a batch."""
        self.copied = sum(len(one.rows) for one in job.copies)
        if job.start > task.first:
            done, receipt = _finished(self.store, task, job.start)
            self.values[: len(done)] = done
            done_before = _failed_before(receipt, job.start)
            self.failed = {row: failed for row, failed in done_before.items() if row not in job.again}
            self.cut = {row for row in receipt.cut if row < job.start}
            self.first_frames = {row for row in receipt.first_frames if row < job.start}
            self.seconds |= receipt.seconds
            self.copied += receipt.copied
        for one in job.copies:
            self.values[one.rows - task.first] = _held(FeatureStore.open(one.store), one.of)
        self._coming: tuple[np.ndarray, Fetch] | None = None
        self._again = bool(job.again)
        self._wanted = set(self.rows.tolist())
        self._example: Any = None
        self._inputs_differ = False

    def encode(self, encoder: Sparing, rows: np.ndarray, inputs: Any) -> None:
        """Encode the inputs of some rows. A GPU begins to, before what it began last is taken: it never waits."""
        self._compare(inputs)
        self.load_seconds, encoder.load_seconds = self.load_seconds + encoder.load_seconds, 0.0
        started = time.perf_counter()
        coming = rows, encoder.begin(inputs)
        self.seconds["infer"] += time.perf_counter() - started
        self.most = encoder.most
        self.take()
        self._coming = coming
        if not encoder.runs_ahead:
            self.take()

    def take(self) -> None:
        """Put the features that were begun last in their rows."""
        if self._coming is None:
            return
        (rows, fetch), self._coming = self._coming, None
        started = time.perf_counter()
        features = fetch()
        self.seconds["infer"] += time.perf_counter() - started
        self.values[rows - self.task.first] = self._checked(features, rows)

    def fail(self, failed: dict[int, FailedRow]) -> None:
        """Note which rows cannot be encoded; those that were done earlier stay as they are."""
        self.failed |= {row: one for row, one in failed.items() if row in self._wanted}

    def write(self, **circumstances: Any) -> Receipt:
        failed = tuple(self.failed[row] for row in sorted(self.failed))
        known = {name: tuple(sorted(getattr(self, name))) for name in ("cut", "first_frames")}
        known |= circumstances | {"copied": self.copied, "load_seconds": self.load_seconds}
        return self.store.write_shard(self.task.shard, self.values, failed, self.seconds, self._again, **known)

    def refuse_constant(self) -> None:
        """Raise ExpclipError where different inputs gave the same features."""
        if not self._inputs_differ:
            return
        encoded = self.values[self.rows - self.task.first].reshape(len(self.rows), -1)
        encoded = encoded[np.isfinite(encoded[:, 0])]
        if (encoded == encoded[0]).all():
            raise ExpclipError(
                f"{self.node.label} gave the same features for different inputs (shard {self.task.shard} of "
                f"{self.task.dataset}); the shard is not written. The weights or the configuration are wrong"
            )

    def _checked(self, features: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Features in the stored dtype. Raises ExpclipError where they are not finite numbers in it."""
        expected = (len(rows), *self.values.shape[1:])
        if features.shape != expected:
            raise ExpclipError(f"{self.node.label} gave features of shape {features.shape}, not {expected}")
        with np.errstate(over="ignore"):
            stored = features.astype(self.values.dtype)
        is_finite = finite_rows(stored)
        if not is_finite.all():
            row = int(rows[~is_finite][0])
            what = "NaN or infinity" if not np.isfinite(features).all() else f"values beyond {stored.dtype}"
            raise ExpclipError(
                f"{self.node.label} gave {what} for {self.task.name(row)} (row {row}); the shard is not written. "
                f"Try {option('dtype')} float32; if that does not help, the weights are damaged"
            )
        return stored

    def _compare(self, inputs: Any) -> None:
        """Note whether any two inputs differ."""
        if self._inputs_differ:
            return
        self._example = self._example if self._example is not None else inputs[0]
        if isinstance(inputs, list):
            self._inputs_differ = any(text != self._example for text in inputs)
        else:
            self._inputs_differ = bool((inputs != self._example).any())


def _encode_pixels(task: Task, batches: Iterable[Batch], work: dict[str, _ShardWork], load: Load, emit: Emit) -> None:
    """Feed each decoded batch to all encoders that take pixels."""
    asked = time.perf_counter()
    for batch in batches:
        waited = (time.perf_counter() - asked) / len(task.pixel_jobs)
        for job in task.pixel_jobs:
            shard = work[job.node.digest]
            shard.seconds["read"] += waited
            shard.fail({row: _failed(task, row, error) for row, error in batch.errors.items()})
            shard.first_frames |= batch.first_frames
            new = np.isin(batch.rows, shard.rows)
            if new.any():
                assert job.node.squash is not None
                shard.encode(load(job.node), batch.rows[new], batch.pixels[job.node.squash.fit][new])
            emit(RowsEncoded(int(new.sum()) + int(np.isin(list(batch.errors), shard.rows).sum())))
        asked = time.perf_counter()
    for job in task.pixel_jobs:
        work[job.node.digest].take()


def _encode_derived(
    task: Task, job: Job, work: dict[str, _ShardWork], load: Load, batch_size: int, emit: Emit
) -> None:
    """Encode texts, or query tokens exactly as they are stored."""
    shard = work[job.node.digest]
    if not len(shard.rows):
        return
    inputs, failed = (task.sources, {}) if job.parent_store is None else _parent_features(task, job, work)
    shard.fail(failed)
    for start in range(0, len(shard.rows), batch_size):
        some = shard.rows[start : start + batch_size]
        rows = np.array([row for row in some.tolist() if row not in failed], dtype=np.int64)
        offsets = rows - task.first
        batch = inputs[offsets] if isinstance(inputs, np.ndarray) else [inputs[k] for k in offsets]
        if len(rows):
            shard.encode(load(job.node), rows, batch)
        emit(RowsEncoded(len(some)))
    shard.take()
    if job.node.reads is not None:
        readings = job.node.reads([task.sources[row - task.first] for row in shard.rows.tolist()])
        shard.cut |= {row for row, reading in zip(shard.rows.tolist(), readings, strict=True) if reading.is_cut}


def _failed(task: Task, row: int, error: ImageError) -> FailedRow:
    return FailedRow(row, printable(task.name(row)), printable(str(error)), error.limit)


def _parent_features(task: Task, job: Job, work: dict[str, _ShardWork]) -> tuple[np.ndarray, dict[int, FailedRow]]:
    """The parent's features of the task's rows in the stored dtype, and the rows that have none."""
    assert job.node.parent is not None and job.parent_store is not None
    made_now = work.get(job.node.parent.digest)
    if made_now:
        return made_now.values, made_now.failed
    values, receipt = _finished(FeatureStore.open(job.parent_store), task, task.stop)
    return values, _failed_before(receipt, task.stop)


def _finished(store: FeatureStore, task: Task, stop: int) -> tuple[np.ndarray, Receipt]:
    """What a store holds of the task's rows before `stop`, and the receipt for it."""
    receipt = store.receipts.get(task.shard)
    if receipt is None or receipt.rows < stop - task.first:
        raise ExpclipError(
            f"{store.path}: shard {task.shard} was taken away while this run went on: run the command again"
        )
    return store.read(range(task.first, stop)), receipt


def _held(store: FeatureStore, rows: np.ndarray) -> np.ndarray:
    """(n, *row_shape) of some rows of a store, whose shards are read one after another."""
    values = np.empty((len(rows), *store.header.row_shape), dtype=store.header.dtype)
    shards = rows // header.SHARD_ROWS
    for shard in np.unique(shards).tolist():
        here = store.header.shard_rows(shard)
        values[shards == shard] = store.read(here)[rows[shards == shard] - here.start]
    return values


def _failed_before(receipt: Receipt, stop: int) -> dict[int, FailedRow]:
    return {failed.row: failed for failed in receipt.failed if failed.row < stop}


@cache
def versions() -> dict[str, str]:
    """Of this package and of the libraries that may change values."""
    packages = ("expclip", "torch", "open_clip_torch", "transformers", "pillow", "numpy", "zarr")
    found = {package: version(package) for package in packages} | {"python": platform.python_version()}
    with suppress(PackageNotFoundError):
        found["av"] = version("av")
    return found
