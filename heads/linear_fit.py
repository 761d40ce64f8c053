"""How the linear head is trained: momentum SGD with gradients written out by hand."""

import math

import numpy as np
import torch

from ..encoders.products import product
from .descent import Losses, descend, generator_of
from .kinds import Progress
from .objectives import OBJECTIVES
from .pairs import TeacherPairs
from .recipe import Recipe


def fitted(recipe: Recipe, pairs: TeacherPairs, progress: Progress | None) -> tuple[np.ndarray, Losses]:
    """The weights (L', L) float32 of `LinearHead.fit`, and the losses."""
    generator = generator_of(recipe.seed)
    start = initial_weight(pairs.images.width, pairs.teacher.width, generator)
    weight = start.T.contiguous().to(recipe.device)  # (L, L'): so no product of a step has to copy a matrix first
    update = torch.optim.SGD(
        [weight], lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay, fused=True
    )

    def step(images: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """One step, whose update passes over the weights once; products in the dtype of `images`."""
        projected = product(images, weight.to(images.dtype))
        loss, slope = OBJECTIVES[recipe.objective].loss(projected, teacher, recipe.logit_scale)
        weight.grad = product(images.T, slope).to(weight.dtype)
        update.step()
        return loss

    losses = descend(pairs, recipe, generator, step, progress)
    return weight.T.contiguous().cpu().numpy(), losses


def initial_weight(width: int, teacher_width: int, generator: torch.Generator | None) -> torch.Tensor:
    """(L', L) uniform in ±1/√L, as nn.Linear starts."""
    bound = 1 / math.sqrt(width)
    return torch.empty(teacher_width, width).uniform_(-bound, bound, generator=generator)
