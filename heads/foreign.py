"""Heads as others keep them: one matrix in a state dict of torch, or in a safetensors file."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from ..errors import UsageError, reason

SUFFIXES = (".pth", ".safetensors")
_WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Keys under which training scripts put a state dict into a larger one."""


def read_weight(path: Path) -> np.ndarray:
    """The matrix (L', L) float32 of a linear head that another program saved; nothing is unpickled but tensors.

    The file holds a state dict with one matrix, under any name that ends in `weight` and any wrapper, or the matrix
    itself. Raises UsageError where it holds anything else: several matrices, a bias, values that are not finite.
    """
    content = _load(path)
    while isinstance(content, Mapping) and (inner := next((w for w in _WRAPPERS if w in content), None)):
        content = content[inner]
    named: dict[str, Any] = dict(content) if isinstance(content, Mapping) else {"weight": content}
    found = {name: value for name, value in named.items() if isinstance(value, torch.Tensor)}
    shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in found.items()) or "no tensor"
    matrices = [value for name, value in found.items() if value.ndim == 2 and name.split(".")[-1] == "weight"]
    if len(matrices) != 1 or any(value.any() for value in found.values() if value is not matrices[0]):
        raise UsageError(f"{path}: a linear head is one matrix called `…weight`, without bias; here are {shapes}")
    weight = matrices[0].float().numpy()
    if not np.isfinite(weight).all():
        raise UsageError(f"{path}: some of its weights are not finite: get the file again")
    return weight


def write_weight(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Write a head as a state dict of torch; for a linear head that is one of nn.Linear without bias."""
    torch.save({name: torch.from_numpy(value.copy()) for name, value in tensors.items()}, path)


def _load(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UsageError(
            f"{path}: the file holds more than tensors, and that is not unpickled, because it could run code: if you "
            "trust it, load it and save head.state_dict() with torch.save"
        ) from error
    except (SafetensorError, OSError, RuntimeError, EOFError, ValueError) as error:
        raise UsageError(f"{path}: this head cannot be read ({reason(error)}): is the file complete?") from error
