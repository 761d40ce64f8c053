"""To a device and back. On CUDA nothing waits for anything until a result is fetched."""

import numpy as np
import torch

from .node import Fetch


def as_tensor(array: np.ndarray) -> torch.Tensor:
    """An array as a tensor, without a copy where the array may be written to."""
    return torch.from_numpy(np.require(array, requirements="W"))


def to_device(array: np.ndarray, device: str) -> torch.Tensor:
    """An array on a device.

    On its way to CUDA it is copied to pinned memory, from where the GPU takes it while this process goes on; torch
    keeps that memory until it has.
    """
    tensor = as_tensor(array)
    if not device.startswith("cuda"):
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def fetching(features: torch.Tensor) -> Fetch:
    """What gives features as a float32 array; their way back from CUDA begins at once, behind what computes them."""
    features = features.float()
    if features.device.type != "cuda":
        array = features.cpu().numpy()
        return lambda: array
    here = torch.empty(features.shape, dtype=features.dtype, pin_memory=True)
    here.copy_(features, non_blocking=True)
    is_here = torch.cuda.Event(blocking=True)  # the thread sleeps: a decoder may need the core
    is_here.record(torch.cuda.current_stream(features.device))

    def fetch() -> np.ndarray:
        is_here.synchronize()
        return here.numpy()

    return fetch
