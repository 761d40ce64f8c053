"""Losses with their gradients, written out so that matrix products are all that costs time."""

import torch

from ..encoders.products import product

SMALLEST_NORM = 1e-12
"""What lengths are at least where they divide."""


def infonce(projected: torch.Tensor, teacher: torch.Tensor, scale: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The symmetric cross-entropy over a batch, ½ (image → teacher + teacher → image), and its gradient.

    Logits are scale · cosine, the scale is frozen. Source: Exp-CLIP, equation 3, as its released code computes it.
    `projected` (B, L') is not normalised, `teacher` (B, L') has rows of length one. Returns a scalar and (B, L'),
    in float32 and in the dtype of `projected`.
    """
    teacher = teacher.to(projected.dtype)
    norm = torch.linalg.vector_norm(projected.float(), dim=1, keepdim=True).clamp_min(SMALLEST_NORM)
    logits = product(projected, teacher.T).float().mul_(scale / norm)
    (slope, to_teacher), (of_teacher, to_image) = _softmax(logits, dim=1), _softmax(logits, dim=0)
    loss = ((to_teacher.mean() + to_image.mean()) / 2) - logits.diagonal().mean()

    slope.add_(of_teacher).diagonal().sub_(2)
    slope.div_(2 * len(logits))
    along = (slope * logits).sum(dim=1, keepdim=True)
    gradient = product(slope.mul_(scale / norm).to(projected.dtype), teacher)
    gradient.addcmul_(projected, (-along / norm.square()).to(projected.dtype))
    return loss, gradient


def _softmax(logits: torch.Tensor, dim: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Along an axis, and the logarithm of the sum of the exponentials, which are taken once for both."""
    largest = logits.amax(dim=dim, keepdim=True)
    powers = (logits - largest).exp_()
    total = powers.sum(dim=dim, keepdim=True)
    return powers.div_(total), total.log() + largest


def mse(projected: torch.Tensor, teacher: torch.Tensor, _scale: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Squared error summed over L' and averaged over the batch, and its gradient.

    Neither `projected` (B, L') nor `teacher` (B, L') is normalised. Returns a scalar in float32 and (B, L') in the
    dtype of `projected`. Source: Exp-CLIP, algorithm 1; a mean over L' too would make the gradient L' times smaller.
    """
    error = projected.float() - teacher
    return error.square().sum() / len(error), error.mul_(2 / len(error)).to(projected.dtype)
