"""What a head is trained to make small: each objective is one function that gives a loss and its gradient."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from .infonce import infonce


def mse(projected: torch.Tensor, teacher: torch.Tensor, _scale: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Squared error summed over L' and averaged over the batch, and its gradient.

    Neither `projected` (B, L') nor `teacher` (B, L') is normalised. Returns a scalar in float32 and (B, L') in the
    type of `projected`. Source: Exp-CLIP, algorithm 1; a mean over L' too would make the gradient L' times smaller.
    """
    error = projected.float() - teacher
    return error.square().sum() / len(error), error.mul_(2 / len(error)).to(projected.dtype)


@dataclass(frozen=True)
class Objective:
    """An objective, and what it wants of the teacher."""

    loss: Callable[[torch.Tensor, torch.Tensor, float], tuple[torch.Tensor, torch.Tensor]]
    """(projected, teacher, logit scale) → (loss, gradient with respect to `projected`)."""
    unit_teacher: bool
    """Whether the teacher's embeddings are scaled to length one first; else they are taken as stored."""


OBJECTIVES = {
    "infonce": Objective(infonce, unit_teacher=True),
    "mse": Objective(mse, unit_teacher=False),
}
