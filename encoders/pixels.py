"""From squashed bytes to the planes that vision towers take."""

import numpy as np
import torch

from .squash import MeanStd


def as_tensor(array: np.ndarray) -> torch.Tensor:
    """An array as a tensor, without a copy where the array may be written to."""
    return torch.from_numpy(np.require(array, requirements="W"))


def to_planes(pixels: np.ndarray, device: str, mean_std: MeanStd | None) -> torch.Tensor:
    """(n, 3, size, size) float32 in 0 … 1 on the device, from uint8 (n, size, size, 3); normalised where asked."""
    planes = as_tensor(pixels).to(device).permute(0, 3, 1, 2).float().div_(255)
    if mean_std is None:
        return planes.contiguous()
    mean, std = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in mean_std)
    return planes.sub_(mean).div_(std).contiguous()
