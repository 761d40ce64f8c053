"""Batches of pairs of embeddings, put together in memory that is used again."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from .losses import SMALLEST_NORM
from .objectives import OBJECTIVES
from .pairs import TeacherPairs
from .recipe import Recipe

Read = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""Row numbers (B,) → images (B, L) and teacher (B, L') as stored, on the device."""


class Batches:
    """Batches of images and of their teacher's embeddings, on the recipe's device.

    The teacher's are scaled to length one where the objective wants it. What is in memory moves to the device whole;
    what is on disk is read for every batch, which gives the same batches.
    """

    def __init__(self, pairs: TeacherPairs, recipe: Recipe):
        device, size = torch.device(recipe.device), recipe.batch_size
        self.place = torch.device("cpu") if pairs.is_on_disk else device
        """Where row numbers are expected: so nothing but these moves to a GPU that holds the embeddings."""
        self._read = _from_disk(pairs, device) if pairs.is_on_disk else _from_memory(pairs, size, device)
        self._ahead = _one_ahead if pairs.is_on_disk else map
        self._scale = None
        if OBJECTIVES[recipe.objective].unit_teacher:
            lengths = torch.from_numpy(pairs.teacher.lengths).to(device)
            self._scale = (1 / lengths.clamp_min(SMALLEST_NORM))[:, None]
        self._images = torch.empty(size, pairs.images.width, dtype=getattr(torch, recipe.precision), device=device)
        self._teacher = torch.empty(size, pairs.teacher.width, device=device)

    def gathered(self, batches: Sequence[torch.Tensor]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """For row numbers (B,) images (B, L) in the dtype of the products and teacher (B, L') float32.

        Both are overwritten by the next batch.
        """
        for rows, (images, teacher) in zip(batches, self._ahead(self._read, batches), strict=True):
            self._images.copy_(images)
            if self._scale is None:
                self._teacher.copy_(teacher)
            else:
                torch.mul(teacher, self._scale[rows.to(self._scale.device)], out=self._teacher)
            yield self._images, self._teacher


def _from_memory(pairs: TeacherPairs, size: int, device: torch.device) -> Read:
    X, E = (torch.from_numpy(np.asarray(side.values)).to(device) for side in (pairs.images, pairs.teacher))
    x, e = (torch.empty(size, side.shape[1], dtype=side.dtype, device=device) for side in (X, E))

    def read(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.index_select(X, 0, rows, out=x), torch.index_select(E, 0, rows, out=e)

    return read


def _from_disk(pairs: TeacherPairs, device: torch.device) -> Read:
    def read(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        images, teacher = pairs.images.take(rows.numpy()), pairs.teacher.take(rows.numpy())
        return torch.from_numpy(images).to(device), torch.from_numpy(teacher).to(device)

    return read


def _one_ahead(read: Read, batches: Sequence[torch.Tensor]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Each batch is read by another thread while the one before it is learnt from."""
    with ThreadPoolExecutor(1) as reader:
        coming = [reader.submit(read, rows) for rows in batches[:1]]
        for rows in batches[1:]:
            coming.append(reader.submit(read, rows))
            yield coming.pop(0).result()
        yield from (one.result() for one in coming)
