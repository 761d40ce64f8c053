"""The loop of stochastic gradient descent, the same for every head that is trained."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..errors import ExpclipError, UsageError, brief, one_of, option
from .batches import Batches
from .kinds import Progress
from .objectives import OBJECTIVES
from .pairs import TeacherPairs
from .recipe import MOST_SEED, PRECISIONS, Recipe

Step = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""(images (B, L) in the dtype of the products, teacher (B, L') float32) → loss: one step of the optimiser."""


def generator_of(seed: int) -> torch.Generator:
    """What all random choices of a seed come from. Raises UsageError for one that it does not take."""
    if not 0 <= seed <= MOST_SEED:
        raise UsageError(f"{option('seed')} {brief(seed)}: give one from 0 to {MOST_SEED}")
    return torch.Generator().manual_seed(seed)


def _refuse_recipe(recipe: Recipe) -> None:
    """Raise UsageError for what the command line refuses of its options."""
    for name, choices in (("objective", OBJECTIVES), ("precision", PRECISIONS)):
        if getattr(recipe, name) not in choices:
            raise UsageError(f"{option(name)} {brief(getattr(recipe, name))}: choose {one_of(choices)}")
    for name, least in (("epochs", 0), ("batch_size", 1)):
        if getattr(recipe, name) < least:
            raise UsageError(f"{option(name)} {getattr(recipe, name)}: give {least} or more")


@dataclass(frozen=True)
class Losses:
    """What became of the loss."""

    of_steps: list[float]
    of_epochs: list[float]
    """Means."""


def descend(
    pairs: TeacherPairs, recipe: Recipe, generator: torch.Generator, step: Step, progress: Progress | None
) -> Losses:
    """Call `step` on every batch of pairs.

    The generator that gave the initial weights gives one permutation an epoch; the last, smaller batch is dropped.
    `progress(done, total)` is called after every step. Raises UsageError where there are fewer rows than a batch or
    their numbers are not finite, ExpclipError where the loss stops being a number.
    """
    _refuse_recipe(recipe)
    size, steps = recipe.batch_size, len(pairs) // recipe.batch_size
    if steps == 0:
        raise UsageError(f"a batch of {size} needs as many rows, and there are {len(pairs)}: choose a smaller one")
    pairs.refuse_not_finite()
    rows, batches = torch.from_numpy(pairs.rows), Batches(pairs, recipe)
    losses = torch.zeros(recipe.epochs, steps, device=recipe.device)
    means: list[float] = []
    for epoch in range(recipe.epochs):
        order = rows[torch.randperm(len(rows), generator=generator)].to(batches.place)
        for k, batch in enumerate(batches.gathered(order.split(size)[:steps])):
            losses[epoch, k] = step(*batch)
            if progress:
                progress(epoch * steps + k + 1, recipe.epochs * steps)
        means.append(float(losses[epoch].mean()))
        if not math.isfinite(means[-1]):
            raise ExpclipError(f"the loss is {means[-1]} after epoch {epoch + 1}: choose a smaller {option('lr')}")
    return Losses(losses.flatten().tolist(), means)
