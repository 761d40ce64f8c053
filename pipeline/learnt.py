"""Features that heads are fitted to, each read once for all heads, or left on the disk where memory is short."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.filesize import decimal as byte_count

from ..cache.rows_on_disk import RowsOnDisk
from ..cache.store import FeatureStore
from ..heads.pairs import Embeddings, TeacherPairs
from ..reports.console import say
from .machine import free_memory

_SHARE = 0.5
"""Of the free memory that features may take: fitting, and the disk's own cache, need some too."""


@dataclass
class Shelf:
    """The images' features that were read, and those of the last teacher, which are larger."""

    _images: dict[Path, Embeddings] = field(default_factory=dict)
    _teacher: dict[Path, Embeddings] = field(default_factory=dict)
    has_any_on_disk: bool = False

    def pairs(self, images: FeatureStore, teacher: FeatureStore, failed: list[int]) -> TeacherPairs:
        """What is learnt from two stores: all rows but those that failed in either."""
        if images.path not in self._images:
            self._images[images.path] = self._embeddings("X", images)
        if teacher.path not in self._teacher:
            self._teacher.clear()
            self._teacher[teacher.path] = self._embeddings("E", teacher)
        rows = np.delete(np.arange(images.header.rows), failed)
        return TeacherPairs(self._images[images.path], self._teacher[teacher.path], rows)

    def _embeddings(self, name: str, store: FeatureStore) -> Embeddings:
        values, free = RowsOnDisk(store), free_memory()
        if values.nbytes <= _SHARE * free or not store.is_plain:
            return Embeddings(name, store.read())
        self.has_any_on_disk = True
        say(
            f"note: {store.path.name} has {byte_count(values.nbytes)}, and {byte_count(free)} of memory are free: "
            "batches are read from the disk"
        )
        return Embeddings(name, values)
