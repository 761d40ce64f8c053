"""Matrix products by whichever library is faster on this processor, for the shapes at hand."""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_SMALL = 10**8
"""FLOP below which the choice does not matter."""
_ENOUGH = 4 * 10**9
"""FLOP from which on more rows do not change which is faster."""
_TRIES = 5
"""The first of which prepares."""
_CLEARLY = 0.8
"""The share of oneDNN's time that the BLAS must stay below: near ties would be decided by chance."""

Kernel = Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None], torch.Tensor]


def product(a: torch.Tensor, b: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """a b + bias, (n, m) for a (n, k), b (k, m) and bias (m,); a and b may be transposed views. Without gradients.

    Large ones in float32 on a CPU go to oneDNN or to the BLAS behind torch.mm: that reaches less than half of the
    speed on processors that it was not made for.
    """
    (n, k), m = a.shape, b.shape[1]
    if a.device.type != "cpu" or not a.dtype == b.dtype == torch.float32 or 2 * n * k * m < _SMALL:
        return _by_blas(a, b, bias)
    rows = min(n, max(1, _ENOUGH // (2 * k * m))).bit_length()
    return _fastest(rows, k, m, a.is_contiguous(), b.is_contiguous(), torch.get_num_threads())(a, b, bias)


def linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """x Wᵀ + bias, (…, m) for x (…, k), weight (m, k) and bias (m,), with gradients; by `product` in float32."""
    if x.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return torch.nn.functional.linear(x, weight, bias)
    rows = x.reshape(-1, x.shape[-1])
    if torch.is_grad_enabled():
        out: torch.Tensor = _Linear.apply(rows, weight)  # pyright: ignore[reportAssignmentType]
        out = out if bias is None else out.add_(bias)
    else:
        out = product(rows, weight.T, bias)
    return out.reshape(*x.shape[:-1], -1)


def faster_layers(device: str) -> AbstractContextManager[Any]:
    """Within it linear layers in float32, of whichever library, are ours on a CPU."""
    return _OurLayers() if device.startswith("cpu") else nullcontext()


class _OurLayers(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.nn.functional.multi_head_attention_forward and _is_plain(args, kwargs):
            return _attended(args, kwargs.get("attn_mask")), None
        is_ours = func is torch.nn.functional.linear and args[0].dtype == torch.float32
        return (linear if is_ours else func)(*args, **kwargs)


_POSITIONAL = 13
"""Arguments that nn.MultiheadAttention does not name; who names others may mean anything."""


def _is_plain(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether nn.MultiheadAttention asks for attention of tokens to each other, without dropout or weights."""
    if len(args) != _POSITIONAL or kwargs.get("need_weights", True) or kwargs.get("use_separate_proj_weight"):
        return False
    x, key, value, _, _, weight, _, bias_k, _, adds_zeros, dropout, *_ = args
    mask = kwargs.get("attn_mask")
    return (
        (x is key is value and x.ndim == 3 and x.dtype == torch.float32 and weight is not None)
        and (bias_k is None and not adds_zeros and not (dropout and kwargs.get("training", True)))
        and (mask is None or (mask.ndim == 2 and mask.dtype == torch.float32))
        and kwargs.get("key_padding_mask") is None
    )


def _attended(args: tuple[Any, ...], mask: torch.Tensor | None) -> torch.Tensor:
    """The same by our products: within torch's own function they would not be."""
    x, heads, (weight, bias), (out_weight, out_bias) = args[0], args[4], args[5:7], args[11:13]
    t, n, width = x.shape
    # (n, t, 3 · width) → three of (n, heads, t, width of a head)
    q, k, v = linear(x.transpose(0, 1), weight, bias).reshape(n, t, 3, heads, -1).permute(2, 0, 3, 1, 4)
    found = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return linear(found.transpose(1, 2).reshape(n, t, width), out_weight, out_bias).transpose(0, 1)


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
        seconds = [(_seconds(_by_onednn, a, b), _seconds(_by_blas, a, b)) for _ in range(_TRIES)]
    except (AttributeError, RuntimeError):  # a torch without oneDNN
        return _by_blas
    onednn, blas = (min(tries) for tries in zip(*seconds, strict=True))
    return _by_blas if blas < _CLEARLY * onednn else _by_onednn


def _by_blas(a: torch.Tensor, b: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    return torch.mm(a, b) if bias is None else torch.addmm(bias, a, b)


def _by_onednn(a: torch.Tensor, b: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """By the operator that torch.compile calls for linear layers: it takes views, and tensors as they are."""
    return torch.ops.mkldnn._linear_pointwise(a, b.T, bias, "none", [], "")


def _seconds(kernel: Kernel, a: torch.Tensor, b: torch.Tensor) -> float:
    started = time.perf_counter()
    kernel(a, b, None)
    return time.perf_counter() - started
