"""How the linear head is trained: momentum SGD with gradients written out by hand."""

import math

import numpy as np
import torch

from .descent import descend, generator_of
from .kinds import Progress
from .losses import product
from .objectives import OBJECTIVES
from .pairs import as_pairs
from .recipe import Recipe


def fitted(recipe: Recipe, X: np.ndarray, E: np.ndarray, progress: Progress | None) -> tuple[np.ndarray, list[float]]:
    """The weights (L', L) float32 of `LinearHead.fit`, and the mean loss of each epoch."""
    X, E = as_pairs(X, E)
    generator = generator_of(recipe.seed)
    weight = initial_weight(X.shape[1], E.shape[1], generator).to(recipe.device)
    update = torch.optim.SGD(
        [weight], lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay, fused=True
    )

    def step(images: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """One step, whose update passes over the weights once; products in the dtype of `images`."""
        projected = product(images, weight.to(images.dtype).T)
        loss, slope = OBJECTIVES[recipe.objective].loss(projected, teacher, recipe.logit_scale)
        weight.grad = product(slope.T, images).to(weight.dtype)
        update.step()
        return loss

    losses = descend(X, E, recipe, generator, step, progress)
    return weight.cpu().numpy(), losses


def initial_weight(width: int, teacher_width: int, generator: torch.Generator | None) -> torch.Tensor:
    """(L', L) uniform in ±1/√L, as nn.Linear starts."""
    bound = 1 / math.sqrt(width)
    return torch.empty(teacher_width, width).uniform_(-bound, bound, generator=generator)
