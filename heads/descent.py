"""The loop of stochastic gradient descent, the same for every head that is trained."""

import math
from collections.abc import Callable

import numpy as np
import torch

from ..errors import ExpclipError, UsageError, brief, one_of, option
from .kinds import Progress
from .objectives import OBJECTIVES
from .pairs import ROWS, not_finite
from .recipe import MOST_SEED, PRECISIONS, Recipe

Step = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""(images (B, L) in the dtype of the products, teacher (B, L') float32) → loss: one step of the optimiser."""


def generator_of(seed: int) -> torch.Generator:
    """What all random choices of a seed come from. Raises UsageError for one that it does not take."""
    if not 0 <= seed <= MOST_SEED:
        raise UsageError(f"{option('seed')} {brief(seed)}: give one from 0 to {MOST_SEED}")
    return torch.Generator().manual_seed(seed)


def _refuse_not_finite(name: str, array: torch.Tensor) -> None:
    """Raise UsageError where some of an array's rows are not finite."""
    for first, rows in enumerate(array.split(ROWS)):
        bad = ~torch.isfinite(rows.float() if rows.dtype == torch.float64 else rows).all(dim=1)
        if bad.any():
            raise not_finite(name, first * ROWS + int(bad.int().argmax()))


def _refuse_recipe(recipe: Recipe) -> None:
    """Raise UsageError for what the command line refuses of its options."""
    for name, choices in (("objective", OBJECTIVES), ("precision", PRECISIONS)):
        if getattr(recipe, name) not in choices:
            raise UsageError(f"{option(name)} {brief(getattr(recipe, name))}: choose {one_of(choices)}")
    for name, least in (("epochs", 0), ("batch_size", 1)):
        if getattr(recipe, name) < least:
            raise UsageError(f"{option(name)} {getattr(recipe, name)}: give {least} or more")


def descend(
    X: np.ndarray, E: np.ndarray, recipe: Recipe, generator: torch.Generator, step: Step, progress: Progress | None
) -> list[float]:
    """Call `step` on every batch of X (n, L) and E (n, L'); returns the mean loss of each epoch.

    The generator that gave the initial weights gives one permutation an epoch; the last, smaller batch is dropped.
    `progress(done, total)` is called after every step. Raises UsageError where there are fewer rows than a batch,
    ExpclipError where the loss stops being a number.
    """
    _refuse_recipe(recipe)
    size, steps = recipe.batch_size, len(X) // recipe.batch_size
    if steps == 0:
        raise UsageError(f"a batch of {size} needs as many rows, and there are {len(X)}: choose a smaller one")
    dtype = torch.float32 if recipe.precision == "float32" else torch.bfloat16
    images = torch.from_numpy(X).to(recipe.device, dtype)
    teacher = torch.from_numpy(E).to(recipe.device)
    _refuse_not_finite("X", images)
    _refuse_not_finite("E", teacher)
    scale = _scale_to_one(teacher) if OBJECTIVES[recipe.objective].unit_teacher else None
    losses = []
    for epoch in range(recipe.epochs):
        order = torch.randperm(len(X), generator=generator).to(recipe.device)
        total = torch.zeros((), device=recipe.device)
        for k in range(steps):
            batch = order[k * size : (k + 1) * size]
            target = teacher[batch].float()
            total += step(images[batch], target if scale is None else target.mul_(scale[batch]))
            if progress:
                progress(epoch * steps + k + 1, recipe.epochs * steps)
        losses.append(float(total) / steps)
        if not math.isfinite(losses[-1]):
            raise ExpclipError(f"the loss is {losses[-1]} after epoch {epoch + 1}: choose a smaller {option('lr')}")
    return losses


def _scale_to_one(vectors: torch.Tensor) -> torch.Tensor:
    """(n, 1) float32: one over the length of each row."""
    return 1 / torch.linalg.vector_norm(vectors, dim=1, keepdim=True, dtype=torch.float32).clamp_min(1e-12)
