"""Batches of pairs of embeddings, put together in memory that is used again."""

from collections.abc import Callable

import numpy as np
import torch

from .objectives import OBJECTIVES
from .pairs import Embeddings, TeacherPairs
from .recipe import Recipe

_SMALLEST_NORM = 1e-12

Gather = Callable[[torch.Tensor], torch.Tensor]
"""Row numbers (B,) → these rows (B, L) as stored, on the device, until the next call."""


class Batches:
    """Batches of images and of their teacher's embeddings, on the recipe's device.

    The teacher's are scaled to length one where the objective wants it. What is in memory moves to the device whole;
    what is on disk is read for every batch, which gives the same batches.
    """

    def __init__(self, pairs: TeacherPairs, recipe: Recipe):
        device, dtype = torch.device(recipe.device), getattr(torch, recipe.precision)
        self._images, self._teacher = (_gather(side, recipe.batch_size, device) for side in (pairs.X, pairs.E))
        self._scale = None
        if OBJECTIVES[recipe.objective].unit_teacher:
            lengths = torch.from_numpy(pairs.E.lengths).to(device)
            self._scale = (1 / lengths.clamp_min(_SMALLEST_NORM))[:, None]
        self._images_out = torch.empty(recipe.batch_size, pairs.X.width, dtype=dtype, device=device)
        self._teacher_out = torch.empty(recipe.batch_size, pairs.E.width, device=device)

    def gathered(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Images (B, L) in the dtype of the products and teacher (B, L') float32 of some rows (B,).

        Both are overwritten by the next batch.
        """
        self._images_out.copy_(self._images(rows))
        teacher = self._teacher(rows)
        if self._scale is None:
            self._teacher_out.copy_(teacher)
        else:
            torch.mul(teacher, self._scale[rows.to(self._scale.device)], out=self._teacher_out)
        return self._images_out, self._teacher_out


def _gather(side: Embeddings, size: int, device: torch.device) -> Gather:
    if isinstance(side.values, np.ndarray):
        there = torch.from_numpy(side.values).to(device)
        out = torch.empty(size, side.width, dtype=there.dtype, device=device)
        return lambda rows: torch.index_select(there, 0, rows.to(device), out=out)
    stored, read = side.values, np.empty((size, side.width), dtype=side.values.dtype)

    def from_disk(rows: torch.Tensor) -> torch.Tensor:
        stored.take(rows.numpy(), read)
        return torch.from_numpy(read).to(device)

    return from_disk
