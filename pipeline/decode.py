"""Decoding ahead of the encoders: threads read images while the models compute, and order is kept."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..encoders.images import ImageError, read_image, squash
from .plan import Task

_BATCHES_AHEAD = 3


@dataclass(frozen=True)
class Batch:
    """Consecutive rows of one shard, decoded."""

    rows: np.ndarray
    """(n,) row numbers of the images that could be read."""
    pixels: dict[int, np.ndarray]
    """By side length: (n, size, size, 3) uint8."""
    errors: dict[int, str]
    """By row number: why an image could not be read."""


Decoded = dict[int, np.ndarray] | str
"""Pixels by side length, or what is wrong with the image."""


class Decoder:
    """Decodes the batches of a sequence of tasks in order, some of them ahead of time.

    Use it as a context manager and ask for the batches of the tasks in the same order.
    """

    def __init__(self, tasks: Sequence[Task], batch_size: int, workers: int):
        self._batch_size = batch_size
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="decode")
        self._ahead: deque[tuple[range, list[Future[Decoded]]]] = deque()
        self._coming = ((task, rows) for task in tasks for rows in self._batch_rows(task))

    def __enter__(self) -> "Decoder":
        return self

    def __exit__(self, *_: object) -> None:
        """Leave no thread behind: what is being decoded ends, what is waiting does not begin."""
        self._pool.shutdown(cancel_futures=True)

    def batches(self, task: Task) -> Iterator[Batch]:
        """The batches of the next task whose images are needed."""
        for _ in self._batch_rows(task):
            while len(self._ahead) < _BATCHES_AHEAD and (coming := next(self._coming, None)):
                self._ahead.append(self._submit(*coming))
            rows, futures = self._ahead.popleft()
            yield _assemble(rows, [future.result() for future in futures])

    def _batch_rows(self, task: Task) -> list[range]:
        starts = range(task.start, task.stop, self._batch_size)
        return [range(start, min(start + self._batch_size, task.stop)) for start in starts]

    def _submit(self, task: Task, rows: range) -> tuple[range, list[Future[Decoded]]]:
        squashes = [job.node.squash for job in task.pixel_jobs if job.node.squash is not None]
        sizes = sorted({squash.size for squash in squashes})
        upright = any(squash.honour_orientation for squash in squashes)
        paths = [Path(task.root) / task.sources[row - task.first] for row in rows]
        return rows, [self._pool.submit(_decode, path, sizes, upright) for path in paths]


def _decode(path: Path, sizes: Sequence[int], upright: bool) -> Decoded:
    try:
        image = read_image(path, upright)
        return {size: squash(image, size) for size in sizes}
    except ImageError as error:
        return str(error)


def _assemble(rows: range, decoded: list[Decoded]) -> Batch:
    readable = [(row, one) for row, one in zip(rows, decoded, strict=True) if not isinstance(one, str)]
    errors = {row: one for row, one in zip(rows, decoded, strict=True) if isinstance(one, str)}
    sizes = readable[0][1] if readable else {}
    pixels = {size: np.stack([one[size] for _, one in readable]) for size in sizes}
    return Batch(np.array([row for row, _ in readable], dtype=np.int64), pixels, errors)
