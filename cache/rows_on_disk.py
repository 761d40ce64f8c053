"""Features that stay on the disk: for fitting heads to more of them than memory holds."""

from collections.abc import Iterator

import numpy as np

from .store import FeatureStore


class RowsOnDisk:
    """All rows of a store, read when they are asked for; `shape` and `dtype` are those of the array they would be."""

    def __init__(self, store: FeatureStore):
        self._store = store
        self.shape = (store.header.rows, *store.header.row_shape)
        self.dtype = np.dtype(store.header.dtype)

    def shards(self) -> Iterator[np.ndarray]:
        """The rows of one shard after another, checked, each until the next: they share their memory."""
        header = self._store.header
        memory = np.empty(header.shard_shape, dtype=self.dtype)
        for shard in header.shards_of(range(header.rows)):
            rows = header.shard_rows(shard)
            yield self._store.read(rows, into=memory[: len(rows)])

    def take(self, rows: np.ndarray, out: np.ndarray) -> None:
        """Put some rows, in any order, into `out` (len(rows), *row_shape); whether they changed is not looked at."""
        self._store.read_scattered(rows, out)
