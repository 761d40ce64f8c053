"""Decoding ahead of the encoders: threads read images while the models compute, and order is kept."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from ..encoders.images import ImageError, squash
from ..encoders.pictures import Picture, read_pictures
from ..manifests.animations import is_picture_clip
from .plan import Task

_BATCHES_AHEAD = 3


@dataclass(frozen=True)
class Batch:
    """Consecutive rows of one shard, decoded."""

    rows: np.ndarray
    """(n,) row numbers of the images that could be read."""
    pixels: dict[int, np.ndarray]
    """By side length: (n, size, size, 3) uint8."""
    errors: dict[int, ImageError]
    """By row number: why an image could not be read."""


Decoded = dict[int, np.ndarray] | ImageError
"""Pixels by side length, or what is wrong with the image."""
_Coming = tuple[list[int], list[Future[dict[int, Decoded]]]]
"""The rows of a batch, and what the files that hold them give by row number, in order."""


class Decoder:
    """Decodes the batches of a sequence of tasks in order, some of them ahead of time.

    Use it as a context manager and ask for the batches of the tasks in the same order.
    """

    def __init__(self, tasks: Sequence[Task], batch_size: int, workers: int):
        self._batch_size = batch_size
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="decode")
        self._ahead: deque[_Coming] = deque()
        self._coming = (coming for task in tasks for coming in self._submit(task))

    def __enter__(self) -> "Decoder":
        return self

    def __exit__(self, *_: object) -> None:
        """Leave no thread behind: what is being decoded ends, what is waiting does not begin."""
        self._pool.shutdown(cancel_futures=True)

    def batches(self, task: Task) -> Iterator[Batch]:
        """The batches of the next task whose images are needed."""
        for _ in self._batch_rows(task):
            while len(self._ahead) < _BATCHES_AHEAD and (coming := next(self._coming, None)):
                self._ahead.append(coming)
            rows, files = self._ahead.popleft()
            yield _assemble(rows, (file.result() for file in files))

    def _batch_rows(self, task: Task) -> list[list[int]]:
        rows = task.pixel_rows
        return [rows[start : start + self._batch_size] for start in range(0, len(rows), self._batch_size)]

    def _submit(self, task: Task) -> Iterator[_Coming]:
        """For each batch of a task the files that hold its rows, begun with the first batch that needs them.

        A file is decoded once per task, also where its rows reach into later batches.
        """
        squashes = [job.node.squash for job in task.pixel_jobs if job.node.squash is not None]
        sizes = sorted({squash.size for squash in squashes})
        upright = any(squash.honour_orientation for squash in squashes)
        files: deque[tuple[int, Future[dict[int, Decoded]]]] = deque()
        waiting = _rows_by_file(task)
        submitted = -1
        for rows in self._batch_rows(task):
            while submitted < rows[-1]:
                source, row_of = next(waiting)
                submitted = max(row_of.values())
                file = self._pool.submit(_decode, task, source, row_of, sizes, upright)
                files.append((submitted, file))
            yield rows, [file for _, file in files]
            while files and files[0][0] <= rows[-1]:
                files.popleft()


def _rows_by_file(task: Task) -> Iterator[tuple[str, dict[int, int]]]:
    """Runs of rows whose pictures are in one file: its source, and each row by its frame number."""
    for source, run in groupby(task.pixel_rows, key=lambda row: task.sources[row - task.first]):
        yield source, {task.frames[row - task.first]: row for row in run}


def _decode(
    task: Task, source: str, row_of: Mapping[int, int], sizes: Sequence[int], upright: bool
) -> dict[int, Decoded]:
    """What the rows of one file hold, by row number."""
    path, is_clip = Path(task.root) / source, is_picture_clip(source)
    pictures = read_pictures(path, list(row_of), upright, task.max_pixels, is_clip)
    return {row_of[frame]: _squashed(one, sizes) for frame, one in pictures}


def _squashed(picture: Picture, sizes: Sequence[int]) -> Decoded:
    return picture if isinstance(picture, ImageError) else {size: squash(picture, size) for size in sizes}


def _assemble(rows: list[int], files: Iterable[dict[int, Decoded]]) -> Batch:
    by_row: dict[int, Decoded] = {}
    for file in files:
        by_row |= file
    decoded = [(row, by_row[row]) for row in rows]
    readable = [(row, one) for row, one in decoded if not isinstance(one, ImageError)]
    errors = {row: one for row, one in decoded if isinstance(one, ImageError)}
    sizes = readable[0][1] if readable else {}
    pixels = {size: np.stack([one[size] for _, one in readable]) for size in sizes}
    return Batch(np.array([row for row, _ in readable], dtype=np.int64), pixels, errors)
