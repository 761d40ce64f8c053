"""Decoding ahead of the encoders: others read images while the models compute, and order is kept."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from ..encoders.picture_errors import ImageError
from ..encoders.squash import Fit
from ..manifests.animations import is_picture_clip
from .apart import Call, Crew, Died
from .decode_file import Decoded, DecodedFile, decode_file
from .plan import Task

_BATCHES_AHEAD = 3
_GOES = 4
"""Of each batch, so that several processes share in it."""
_LEAST_ROWS = 8
"""Files with so many rows are decoded by the same process in one go: asking for each one alone would cost time."""


@dataclass(frozen=True)
class Batch:
    """Consecutive rows of one shard, decoded."""

    rows: np.ndarray
    """(n,) row numbers of the images that could be read."""
    pixels: dict[Fit, np.ndarray]
    """By how they fit: (n, size, size, 3) uint8."""
    errors: dict[int, ImageError]
    """By row number: why an image could not be read."""
    first_frames: frozenset[int] = frozenset()
    """Rows of files that hold more pictures than the one that was read."""


@dataclass(frozen=True)
class _Files:
    """Files that one process decodes."""

    calls: tuple[Call, ...]
    """Of decode_file."""
    last: int
    """The last row that they hold."""
    answers: Future[list[Any]]

    @property
    def decoded(self) -> Iterator[DecodedFile]:
        """What they hold. Waits for it."""
        for (_, row_of, *_), answer in zip(self.calls, self.answers.result(), strict=True):
            if isinstance(answer, Died):
                error = ImageError(answer.of("decoding"))
                yield DecodedFile(dict.fromkeys(row_of.values(), error), is_first_frame=False)
            else:
                yield answer


_Coming = tuple[list[int], list[_Files]]
"""The rows of a batch, and the files that hold them, in order."""


def decoders(workers: int) -> Crew:
    """Processes that decode for a Decoder."""
    return Crew(decode_file, workers)


class Decoder:
    """Decodes the batches of a sequence of tasks in order, some of them ahead of time.

    Use it as a context manager and ask for the batches of the tasks in the same order. Where a file kills its
    decoder, all rows that the task has of it fail.
    """

    def __init__(self, tasks: Iterable[Task | None], batch_size: int, crew: Crew):
        self._tasks = iter(tasks)
        """None comes where the next task is not known yet."""
        self._batch_size = batch_size
        self._crew = crew
        self._rows_at_once = max(_LEAST_ROWS, batch_size // _GOES)
        self._ahead: deque[_Coming] = deque()
        self._coming: Iterator[_Coming] = iter(())

    def __enter__(self) -> "Decoder":
        return self

    def __exit__(self, *_: object) -> None:
        """What is waiting does not begin."""
        for coming in self._ahead:
            for files in coming[1]:
                files.answers.cancel()

    def batches(self, task: Task) -> Iterator[Batch]:
        """The batches of the next task whose images are needed."""
        for _ in self._batch_rows(task):
            self._fill()
            rows, files = self._ahead.popleft()
            yield _assemble(rows, files)

    def _fill(self) -> None:
        while len(self._ahead) < _BATCHES_AHEAD:
            coming = next(self._coming, None)
            if coming is not None:
                self._ahead.append(coming)
            elif (task := next(self._tasks, None)) is not None:
                self._coming = self._submit(task)
            else:
                return

    def _batch_rows(self, task: Task) -> list[list[int]]:
        rows = task.pixel_rows
        return [rows[start : start + self._batch_size] for start in range(0, len(rows), self._batch_size)]

    def _submit(self, task: Task) -> Iterator[_Coming]:
        """For each batch of a task the files that hold its rows, begun with the first batch that needs them.

        A file is decoded once per task, also where its rows reach into later batches.
        """
        squashes = [job.node.squash for job in task.pixel_jobs if job.node.squash is not None]
        fits = list(dict.fromkeys(squash.fit for squash in squashes))
        upright = any(squash.honour_orientation for squash in squashes)
        files: deque[_Files] = deque()
        waiting = _rows_by_file(task)
        submitted = -1
        for rows in self._batch_rows(task):
            calls: list[Call] = []
            while submitted < rows[-1]:
                source, row_of = next(waiting)
                submitted = max(row_of.values())
                path, is_clip = Path(task.root) / source, is_picture_clip(source)
                calls.append((path, row_of, fits, upright, task.max_pixels, is_clip))
                if submitted >= rows[-1] or sum(len(call[1]) for call in calls) >= self._rows_at_once:
                    files.append(_Files(tuple(calls), submitted, self._crew.submit(calls)))
                    calls = []
            yield rows, list(files)
            while files and files[0].last <= rows[-1]:
                files.popleft()


def _rows_by_file(task: Task) -> Iterator[tuple[str, dict[int, int]]]:
    """Runs of rows whose pictures are in one file: its source, and each row by its frame number."""
    for source, run in groupby(task.pixel_rows, key=lambda row: task.sources[row - task.first]):
        yield source, {task.frames[row - task.first]: row for row in run}


def _assemble(rows: list[int], files: Iterable[_Files]) -> Batch:
    by_row: dict[int, Decoded] = {}
    first_frames: set[int] = set()
    for file in (file for some in files for file in some.decoded):
        by_row |= file.by_row
        first_frames |= file.by_row.keys() if file.is_first_frame else set()
    decoded = [(row, by_row[row]) for row in rows]
    readable = [(row, one) for row, one in decoded if not isinstance(one, ImageError)]
    errors = {row: one for row, one in decoded if isinstance(one, ImageError)}
    fits = readable[0][1] if readable else {}
    pixels = {fit: np.stack([one[fit] for _, one in readable]) for fit in fits}
    numbers = np.array([row for row, _ in readable], dtype=np.int64)
    return Batch(numbers, pixels, errors, frozenset(first_frames.intersection(rows)))
