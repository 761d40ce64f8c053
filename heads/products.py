"""Matrix products in float32 on a CPU, by whichever library is the fastest for their shapes on this processor.

Which one that is differs from processor to processor by more than a factor of two: oneDNN wants its operands in a
layout that may have to be copied, torch's BLAS is made for some makers' processors, and numpy brings another one.
"""

import time
from collections.abc import Callable
from functools import cache

import numpy as np
import torch

Product = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
_TRIALS = 3


def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """a b, (n, m) for a (n, k) and b (k, m)."""
    if a.device.type != "cpu" or a.dtype != torch.float32:
        return a @ b
    return _fastest(a.shape, a.stride(), b.shape, b.stride())(a, b)


def _by_torch(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return a @ b


def _by_onednn(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.linear(a.contiguous().to_mkldnn(), b.T.contiguous()).to_dense()


def _by_numpy(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(np.matmul(a.numpy(), b.numpy()))


@cache
def _fastest(*layouts: tuple[int, ...]) -> Product:
    """The fastest way for operands of some shapes and strides, by a trial; the same as long as the process lives."""
    (n, k), a_strides, (_, m), b_strides = layouts
    a, b = torch.zeros(n, k).as_strided((n, k), (k, 1)), torch.zeros(k, m)
    a = a if a_strides[1] == 1 else torch.zeros(k, n).T
    b = b if b_strides[1] == 1 else torch.zeros(m, k).T
    ways = [_by_torch, _by_numpy, *([_by_onednn] if torch.backends.mkldnn.is_available() else [])]
    return min(ways, key=lambda way: _seconds(way, a, b))


def _seconds(way: Product, a: torch.Tensor, b: torch.Tensor) -> float:
    """The best of some trials after one that does not count."""
    taken = []
    for _ in range(1 + _TRIALS):
        started = time.perf_counter()
        way(a, b)
        taken.append(time.perf_counter() - started)
    return min(taken[1:])
