"""Features that stay on the disk: for fitting heads to more of them than memory holds."""

import math
from collections.abc import Iterator

import numpy as np

from .store import FeatureStore


class RowsOnDisk:
    """All rows of a store, read when they are asked for; `shape` and `dtype` are those of the array they would be."""

    def __init__(self, store: FeatureStore):
        self._store = store
        self.shape = (store.header.rows, *store.header.row_shape)
        self.dtype = np.dtype(store.header.dtype)

    @property
    def rows_per_shard(self) -> int:
        return self._store.header.shard_shape[0]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def shards(self) -> Iterator[np.ndarray]:
        """The rows of one shard after another, checked, each until the next: they share their memory."""
        header = self._store.header
        memory = np.empty(header.shard_shape, dtype=self.dtype)
        for shard in header.shards_of(range(header.rows)):
            rows = header.shard_rows(shard)
            yield self._store.read(rows, into=memory[: len(rows)])

    def take(self, rows: np.ndarray) -> np.ndarray:
        """(len(rows), *row_shape) of some rows, in any order; their checksums are not looked at again."""
        return self._store.read_scattered(rows)
