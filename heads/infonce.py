"""The contrastive objective and its gradient, written out so that matrix products are all that costs time.

Source: Exp-CLIP, equation 3, as its released code computes it: the symmetric cross-entropy over a batch,
½ (image → teacher + teacher → image), with logits = scale · cosine and a frozen scale.
"""

import torch

from .products import product

_SMALLEST_NORM = 1e-12


def infonce(projected: torch.Tensor, teacher: torch.Tensor, scale: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss, and its gradient with respect to the projected image embeddings.

    `projected` (B, L') is not normalised, `teacher` (B, L') has rows of length one. Returns a scalar and (B, L'),
    in float32 and in the type of `projected`.
    """
    teacher = teacher.to(projected.dtype)
    norm = torch.linalg.vector_norm(projected.float(), dim=1, keepdim=True).clamp_min(_SMALLEST_NORM)
    logits = product(projected, teacher.T).float().mul_(scale / norm)
    to_teacher = logits.logsumexp(dim=1, keepdim=True)
    to_image = logits.logsumexp(dim=0, keepdim=True)
    loss = ((to_teacher.mean() + to_image.mean()) / 2) - logits.diagonal().mean()

    count = len(logits)
    slope = (logits - to_teacher).exp_().add_((logits - to_image).exp_())
    slope.diagonal().sub_(2)
    slope.div_(2 * count)
    along = (slope * logits).sum(dim=1, keepdim=True)
    gradient = product(slope.mul_(scale / norm).to(projected.dtype), teacher)
    gradient.addcmul_(projected, (-along / norm.square()).to(projected.dtype))
    return loss, gradient
