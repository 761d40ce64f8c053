"""Means over the frames of clips."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ..manifests.manifest import Clips

_ROWS = 1024
"""Frames gathered at once: they stay in the processor's cache."""


def clip_means(frames: np.ndarray, clips: Clips, dtype: np.dtype | type) -> np.ndarray:
    """(n, L) means of `frames` (rows, L) over the rows of each clip, in a dtype; NaN for a clip without any.

    Clips of one length are averaged together, as products with 1/length.
    """
    means = np.full((len(clips), frames.shape[1]), np.nan, dtype=dtype)
    lengths = clips.lengths

    def average(some: np.ndarray) -> None:
        length = int(lengths[some[0]])
        gathered = _gathered(frames, rows_of(clips, some)).astype(dtype, copy=False)
        means[some] = np.matmul(np.full((1, length), 1 / length, dtype=dtype), gathered)[:, 0]

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        some = of_one_length(lengths, lambda length: _ROWS // max(length, 1))
        list(threads.map(average, (numbers for numbers in some if lengths[numbers[0]])))
    return means


def _gathered(frames: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(n, length, L) the frames of clips by their rows (n, length): without a copy where these follow each other."""
    first = int(rows[0, 0])
    if (rows.ravel() == np.arange(first, first + rows.size)).all():
        return frames[first : first + rows.size].reshape(*rows.shape, -1)
    return frames[rows]


def of_one_length(lengths: np.ndarray, most: Callable[[int], int]) -> Iterator[np.ndarray]:
    """Numbers of clips of one length, up to `most(length)` at a time, and at least one."""
    for length in np.unique(lengths).tolist():
        numbers, size = np.flatnonzero(lengths == length), max(1, most(length))
        yield from (numbers[start : start + size] for start in range(0, len(numbers), size))


def rows_of(clips: Clips, numbers: np.ndarray) -> np.ndarray:
    """(k, T) the rows of some clips, all of which have T."""
    first = int(numbers[0])
    length = int(clips.offsets[first + 1] - clips.offsets[first])
    return clips.indices[clips.offsets[numbers][:, None] + np.arange(length)]
