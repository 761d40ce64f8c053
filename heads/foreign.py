"""Heads as others keep them: one matrix in a state dict of torch, or in a safetensors file."""

import io
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from ..cache.files import new_file
from ..encoders.archives import opened
from ..encoders.state_dict import besides_tensors
from ..errors import ExpclipError, UsageError, brief, reason
from ..untrusted import open_file

_WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Keys under which training scripts put a state dict into a larger one."""
_DEEPEST = 8
"""No script wraps a state dict more often."""
_MOST_VALUES = 2**28
"""Of a matrix: 1 GiB. A sparse or an expanded one may say that it has any number."""
_SHOWN = 10


def read_weight(path: Path) -> np.ndarray:
    """The matrix (L', L) float32 of a linear head that another program saved; nothing is unpickled but tensors.

    The file holds a state dict with one matrix, under any name that ends in `weight` and any wrapper, or the matrix
    itself, which may be sparse, quantised, or of any dtype of real numbers with a fraction. Raises UsageError where
    it holds anything else: several matrices, a bias, no values, values that are not finite in float32.
    """
    content = _unwrapped(_load(path))
    named = {brief(name) if not isinstance(name, str) else name: value for name, value in content.items()}
    tensors = {name: value for name, value in named.items() if isinstance(value, torch.Tensor)}
    found = {name: value for name, value in tensors.items() if not value.is_nested}
    shown = [f"{name} {tuple(value.shape)}" for name, value in found.items()]
    shapes = ", ".join(shown[:_SHOWN]) + (f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else "")
    matrices = [name for name, value in found.items() if value.ndim == 2 and name.split(".")[-1] == "weight"]
    others = [name for name in found if name not in matrices[:1]]
    if len(matrices) != 1 or len(found) < len(tensors) or not all(_is_nothing(found[name]) for name in others):
        raise UsageError(
            f"{path}: a linear head is one matrix called `…weight`, without bias; here are {shapes or 'no tensor'}"
        )
    weight = _values(path, matrices[0], found[matrices[0]])
    if not np.isfinite(weight).all() or not weight.any():
        raise UsageError(f"{path}: its weights are all zero, or some are not finite in float32: get the file again")
    return weight


def _unwrapped(content: Any) -> Mapping[Any, Any]:
    """The state dict within others, which may hold itself; a bare tensor as one."""
    for _ in range(_DEEPEST):
        if not isinstance(content, Mapping):
            break
        inner = next((wrapper for wrapper in _WRAPPERS if wrapper in content), None)
        if inner is None:
            return content
        content = content[inner]
    return {"weight": content} if isinstance(content, torch.Tensor) else {}


def _is_nothing(tensor: torch.Tensor) -> bool:
    """Whether a tensor changes nothing: it is small enough to be looked at, and zero."""
    try:
        return tensor.numel() <= _MOST_VALUES and not bool(tensor.any())
    except (RuntimeError, NotImplementedError):  # what has no values, or of a dtype that torch cannot compare
        return False


def _values(path: Path, name: str, tensor: torch.Tensor) -> np.ndarray:
    """The values of a tensor in float32. Raises UsageError where they are no real numbers, none, or too many."""
    if not 0 < tensor.numel() <= _MOST_VALUES or tensor.is_meta:
        raise UsageError(f"{path}: {name} {tuple(tensor.shape)} has no values, or too many for a head: get it again")
    if not (tensor.is_quantized or tensor.is_floating_point()):
        what = str(tensor.dtype).removeprefix("torch.")
        raise UsageError(f"{path}: {name} holds {what} values, and weights are real numbers: save them as float32")
    try:
        plain = tensor.detach()
        plain = plain.dequantize() if plain.is_quantized else plain
        plain = plain.to_dense() if plain.layout != torch.strided else plain
        return np.ascontiguousarray(plain.to(torch.float32).resolve_neg().numpy())
    except (RuntimeError, TypeError, ValueError, NotImplementedError) as error:
        raise UsageError(f"{path}: {name} cannot be read ({reason(error)}): save it as a dense float32") from error


def write_weight(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Write a head as a state dict of torch; for a linear head that is one of nn.Linear without bias."""
    content = io.BytesIO()  # torch has no word for what a disk refuses
    torch.save({name: torch.from_numpy(value.copy()) for name, value in tensors.items()}, content)
    with new_file(path, "FILE") as temporary:
        temporary.write_bytes(content.getbuffer())


def _load(path: Path) -> Any:
    try:
        open_file(path).close()  # what is not an ordinary file might never end
        if path.suffix == ".safetensors":
            return load_file(path)
        _refuse_compressed(path)
        _refuse_more_than_tensors(path)
        # Indices of sparse tensors might lead anywhere in memory; what torch warns of is its own affair.
        with torch.sparse.check_sparse_tensor_invariants(), warnings.catch_warnings(action="ignore"):
            return torch.load(path, map_location="cpu", weights_only=True)
    except UsageError:
        raise
    except Exception as error:  # torch has no single error for a file that is not one of its own
        raise UsageError(f"{path}: this head cannot be read ({reason(error)}): is the file complete?") from error


def _refuse_compressed(path: Path) -> None:
    """Torch stores tensors as they are; what is compressed may unpack to any size."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(one.compress_type != zipfile.ZIP_STORED for one in archive.infolist()):
                raise ValueError("it is compressed, which torch's files are not")


def _refuse_more_than_tensors(path: Path) -> None:
    """Raise UsageError for what torch did not write, for a bomb, and for objects besides tensors."""
    try:
        with opened(path) as archive:
            others = besides_tensors(archive)
    except ExpclipError as error:
        raise UsageError(str(error)) from error
    if others:
        raise UsageError(
            f"{path}: the file holds more than tensors ({brief(others[0])}), and that is not unpickled, because it "
            "could run code: if you trust it, load it and save head.state_dict() with torch.save"
        )
