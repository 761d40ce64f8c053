"""From squashed bytes to the planes that vision towers take."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch

from .squash import MeanStd
from .transfer import to_device


def to_planes(pixels: np.ndarray, device: str, mean_std: MeanStd | None) -> torch.Tensor:
    """(n, 3, size, size) float32 in 0 … 1 on the device, from uint8 (n, size, size, 3); normalised where asked."""
    planes = to_device(pixels, device).permute(0, 3, 1, 2).float().div_(255)
    if mean_std is None:
        return planes.contiguous()
    mean, std = _on_device(*map(tuple, mean_std), device)
    return planes.sub_(mean).div_(std).contiguous()


@lru_cache(maxsize=16)
def _on_device(mean: Sequence[float], std: Sequence[float], device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """(1, 3, 1, 1) each: sent once, as a GPU waits for every little array that is made for it."""
    mean_there, std_there = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (mean, std))
    return mean_there, std_there
