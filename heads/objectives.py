"""What a head is trained to make small."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..lazy import load

if TYPE_CHECKING:
    import torch

    Loss = Callable[[torch.Tensor, torch.Tensor, float], tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True)
class Objective:
    """An objective, and what it wants of the teacher."""

    target: str
    """(projected, teacher, logit scale) → (loss, gradient with respect to `projected`)."""
    unit_teacher: bool
    """Whether the teacher's embeddings are scaled to length one first; else they are taken as stored."""

    @property
    def loss(self) -> "Loss":
        return load(self.target)


OBJECTIVES = {
    "infonce": Objective("heads.losses:infonce", unit_teacher=True),
    "mse": Objective("heads.losses:mse", unit_teacher=False),
}
