"""Matrix products by whichever library is faster on this processor, for the shapes at hand."""

import time
from collections.abc import Callable
from functools import cache
from typing import Any

import torch

_SMALL = 10**8
"""FLOP below which the choice does not matter."""
_TRIES = 5
"""The first of which prepares."""
_CLEARLY = 0.8
"""The share of oneDNN's time that torch.mm must stay below: near ties would be decided by chance."""

Kernel = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """a b, (n, m) for a (n, k) and b (k, m), either of which may be a transposed view; without gradients.

    Large ones in float32 on a CPU go to oneDNN or to the BLAS behind torch.mm: that reaches less than half of the
    speed on processors that it was not made for.
    """
    (n, k), m = a.shape, b.shape[1]
    if a.device.type != "cpu" or a.dtype != torch.float32 or 2 * n * k * m < _SMALL:
        return torch.mm(a, b)
    return _fastest(n.bit_length(), k, m, a.is_contiguous(), b.is_contiguous(), torch.get_num_threads())(a, b)


def linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """x Wᵀ + bias, (…, m) for x (…, k), weight (m, k) and bias (m,), with gradients; by `product` in float32."""
    if x.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return torch.nn.functional.linear(x, weight, bias)
    out: torch.Tensor = _Linear.apply(x.reshape(-1, x.shape[-1]), weight)  # pyright: ignore[reportAssignmentType]
    return (out if bias is None else out.add_(bias)).reshape(*x.shape[:-1], -1)


class _Linear(torch.autograd.Function):
    """x Wᵀ, whose three products are chosen one by one."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        return product(x, weight.T)

    @staticmethod
    def backward(ctx: Any, *slopes: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (slope,), (x, weight), (of_x, of_weight) = slopes, ctx.saved_tensors, ctx.needs_input_grad
        return product(slope, weight) if of_x else None, product(slope.T, x) if of_weight else None


@cache
def _fastest(bits: int, k: int, m: int, a_has_rows: bool, b_has_rows: bool, _threads: int) -> Kernel:
    """What is fastest for about 2 ** bits rows, and factors that have their rows in one piece or their columns."""
    n = 2 ** (bits - 1)
    a = torch.ones(n, k) if a_has_rows else torch.ones(k, n).T
    b = torch.ones(k, m) if b_has_rows else torch.ones(m, k).T
    try:
        seconds = [(_seconds(_by_onednn, a, b), _seconds(torch.mm, a, b)) for _ in range(_TRIES)]
    except (AttributeError, RuntimeError):  # a torch without oneDNN
        return torch.mm
    onednn, blas = (min(tries) for tries in zip(*seconds, strict=True))
    return torch.mm if blas < _CLEARLY * onednn else _by_onednn


def _by_onednn(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """By the operator that torch.compile calls for linear layers: it takes views, and tensors as they are."""
    return torch.ops.mkldnn._linear_pointwise(a, b.T, None, "none", [], "")


def _seconds(kernel: Kernel, a: torch.Tensor, b: torch.Tensor) -> float:
    started = time.perf_counter()
    kernel(a, b)
    return time.perf_counter() - started
