"""The one training loop: AdamW, warm-up, cosine decay, clipped gradients."""

import math
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

_WARM_UP = 100
_REPORTS = 8


def train(
    name: str,
    parameters: Iterable[nn.Parameter],
    loss_of: Callable[[Tensor], Tensor],
    samples: int,
    batch: int,
    steps: int,
    lr: float,
    weight_decay: float,
) -> list[float]:
    """Minimise `loss_of(indices of a batch)` for `steps` batches drawn epoch by epoch without replacement.

    Matrices decay, vectors do not. Returns the mean loss of each eighth of the run, which is printed as well.
    """
    weights = [parameter for parameter in parameters if parameter.requires_grad]
    matrices = [weight for weight in weights if weight.ndim > 1]
    vectors = [weight for weight in weights if weight.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min(1.0, (step + 1) / _WARM_UP) * 0.5 * (1.0 + math.cos(math.pi * step / steps))
    )
    reports: list[float] = []
    losses: list[float] = []
    for step, indices in enumerate(_batches(samples, batch, steps), 1):
        loss = loss_of(indices)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
        if step * _REPORTS // steps > len(reports):
            reports.append(sum(losses) / len(losses))
            print(f"{name}: step {step} of {steps}, loss {reports[-1]:.3f}", flush=True)
            losses = []
    return reports


def _batches(samples: int, batch: int, steps: int) -> Iterator[Tensor]:
    order = torch.empty(0, dtype=torch.long)
    for _ in range(steps):
        if len(order) < batch:
            order = torch.randperm(samples)
        yield order[:batch]
        order = order[batch:]


def both_ways(logits: Tensor) -> Tensor:
    """CLIP's symmetric cross-entropy of (n, n) logits whose diagonal holds the pairs."""
    here = torch.arange(len(logits))
    return (functional.cross_entropy(logits, here) + functional.cross_entropy(logits.T, here)) / 2
