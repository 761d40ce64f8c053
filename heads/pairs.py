"""What heads learn from a teacher: embeddings of the same images, row by row, looked at before fitting begins."""

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from ..cache.rows_on_disk import RowsOnDisk
from ..errors import UsageError, reason

_ROWS = 256
"""Looked at at once: they stay in the processor's cache meanwhile."""
_FLOATS = (np.float16, np.float32, np.float64)


class Embeddings:
    """Embeddings of images (n, L), in memory or on disk, and what is found out about them once.

    Raises UsageError for what is no array of real numbers (n, L).
    """

    def __init__(self, name: str, given: "np.ndarray | RowsOnDisk"):
        self.name = name
        self.values = given if isinstance(given, RowsOnDisk) else _as_array(name, given)

    def __len__(self) -> int:
        return self.values.shape[0]

    @property
    def width(self) -> int:
        """L."""
        return self.values.shape[1]

    def blocks(self, rows: int) -> Iterator[np.ndarray]:
        """All of them, in order, so many at a time; from a disk whole shards."""
        if isinstance(self.values, RowsOnDisk):
            return self.values.shards()
        return (self.values[start : start + rows] for start in range(0, len(self), rows))

    def take(self, rows: np.ndarray) -> np.ndarray:
        """(B, L) some of them, in any order."""
        return self.values.take(rows) if isinstance(self.values, RowsOnDisk) else self.values[rows]

    @cached_property
    def lengths(self) -> np.ndarray:
        """(n,) float32: the length of each; NaN or infinite where its numbers are, or are too large for float32."""
        import torch  # several times as fast; who only reads heads does without

        found = np.empty(len(self), dtype=np.float32)
        start = 0
        for block in self.blocks(_ROWS):
            for rows in torch.from_numpy(block).split(_ROWS):
                found[start : start + len(rows)] = torch.linalg.vector_norm(rows.float(), dim=1).numpy()
                start += len(rows)
        return found


class TeacherPairs:
    """Embeddings X (n, L) and e_G E (n, L') of the same images, as stored, of which some `rows` are learnt from.

    `rows` are row numbers, by default all. Raises UsageError where they are not pairs of real numbers; whether these
    are finite is not looked at before fitting begins, as that takes as long as reading them.
    """

    def __init__(
        self,
        X: "np.ndarray | RowsOnDisk | Embeddings",
        E: "np.ndarray | RowsOnDisk | Embeddings",
        rows: np.ndarray | None = None,
    ):
        self.images = X if isinstance(X, Embeddings) else Embeddings("X", X)
        self.teacher = E if isinstance(E, Embeddings) else Embeddings("E", E)
        n, others = len(self.images), len(self.teacher)
        if n != others or n == 0:
            raise UsageError(f"X has {n} rows and E has {others}: they must be the same images, one or more")
        self.rows = np.arange(n) if rows is None else rows

    def __len__(self) -> int:
        """How many are learnt from."""
        return len(self.rows)

    @property
    def X(self) -> np.ndarray:  # noqa: N802
        """(k, L) of what is learnt from, as one array."""
        return self.images.take(self.rows)

    @property
    def E(self) -> np.ndarray:  # noqa: N802
        """(k, L') of what is learnt from, as one array."""
        return self.teacher.take(self.rows)

    @property
    def is_on_disk(self) -> bool:
        """Whether either side is."""
        return any(isinstance(side.values, RowsOnDisk) for side in (self.images, self.teacher))

    def block_rows(self, usual: int) -> int:
        """Rows of a block: as usual, or from a disk those of a shard."""
        sides = (self.images.values, self.teacher.values)
        return next((side.rows_per_shard for side in sides if isinstance(side, RowsOnDisk)), usual)

    def blocks(self, rows: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """X (k, L) and E (k, L') of what is learnt from, in order; what a block of so many rows holds of it."""
        is_learnt = np.zeros(len(self.images), dtype=bool)
        is_learnt[self.rows] = True
        start = 0
        for x, e in zip(self.images.blocks(rows), self.teacher.blocks(rows), strict=True):
            some = is_learnt[start : start + len(x)]
            start += len(x)
            yield (x, e) if some.all() else (x[some], e[some])

    def refuse_not_finite(self) -> None:
        """Raise UsageError where numbers that are learnt from are not finite in float32."""
        for side in (self.images, self.teacher):
            bad = ~np.isfinite(side.lengths[self.rows])
            if bad.any():
                row = int(self.rows[bad.argmax()])
                raise UsageError(
                    f"{side.name} has NaN, infinite or too large numbers (the first in row {row}): leave these out"
                )


def _as_array(name: str, given: np.ndarray) -> np.ndarray:
    try:
        array = np.asarray(given)
    except (ValueError, TypeError, RuntimeError) as error:  # ragged lists, tensors on other devices
        raise UsageError(f"{name} is not an array of numbers ({reason(error)})") from error
    if array.dtype.kind not in "fiu":
        raise UsageError(f"{name} holds {array.dtype} values: give real numbers")
    if array.ndim != 2 or array.shape[1] == 0:
        raise UsageError(f"{name} has the shape {array.shape}: give (n, length of an embedding)")
    return np.ascontiguousarray(array, None if array.dtype in _FLOATS else np.float32)
