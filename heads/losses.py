"""Losses with their gradients, written out so that matrix products are all that costs time."""

import torch

_SMALLEST_NORM = 1e-12


def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """a b, (n, m) for a (n, k) and b (k, m).

    In float32 on a CPU it goes to oneDNN: the BLAS behind torch.mm reaches less than half of its speed on processors
    that it was not made for.
    """
    if a.device.type == "cpu" and a.dtype == torch.float32 and torch.backends.mkldnn.is_available():
        return torch.nn.functional.linear(a.contiguous().to_mkldnn(), b.T.contiguous()).to_dense()
    return a @ b


def infonce(projected: torch.Tensor, teacher: torch.Tensor, scale: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The symmetric cross-entropy over a batch, ½ (image → teacher + teacher → image), and its gradient.

    Logits are scale · cosine, the scale is frozen. Source: Exp-CLIP, equation 3, as its released code computes it.
    `projected` (B, L') is not normalised, `teacher` (B, L') has rows of length one. Returns a scalar and (B, L'),
    in float32 and in the dtype of `projected`.
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


def mse(projected: torch.Tensor, teacher: torch.Tensor, _scale: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Squared error summed over L' and averaged over the batch, and its gradient.

    Neither `projected` (B, L') nor `teacher` (B, L') is normalised. Returns a scalar in float32 and (B, L') in the
    dtype of `projected`. Source: Exp-CLIP, algorithm 1; a mean over L' too would make the gradient L' times smaller.
    """
    error = projected.float() - teacher
    return error.square().sum() / len(error), error.mul_(2 / len(error)).to(projected.dtype)
