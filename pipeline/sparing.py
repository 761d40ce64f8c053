"""An encoder that makes do with less memory: it takes a batch in halves that is too much, and later ones too."""

import gc
import sys
from contextlib import suppress
from typing import Any

import numpy as np

from ..encoders.node import Encoder, Node
from ..errors import ExpclipError, option

_SAID = ("out of memory", "can't allocate memory", "not enough memory", "unable to allocate")
"""What the libraries say whose errors have no type of their own for it."""


class Sparing:
    """An encoder on a device. Its results are those of its batches, but for the last bits of a float."""

    def __init__(self, label: str, encoder: Encoder, device: str):
        self.most: int | None = None
        """Inputs that it takes at once; None where no batch was too many yet."""
        self._label, self._encoder, self._device = label, encoder, device

    def __call__(self, batch: Any, /) -> np.ndarray:
        """(n, …) for n inputs. Raises ExpclipError where the memory is not enough for a single one."""
        parts: list[np.ndarray] = []
        start = 0
        while start < len(batch) or not parts:
            size = min(self.most or len(batch), len(batch) - start)
            found = self._tried(batch[start : start + size])
            if found is None:
                self._halve(size)
            else:
                parts.append(found)
                start += size
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _tried(self, some: Any) -> np.ndarray | None:
        """The features of some inputs; None where the memory is not enough."""
        try:
            return self._encoder(some)
        except (MemoryError, RuntimeError) as error:
            if not _is_want_of_memory(error):
                raise
        return None  # behind the block, so that nothing holds what the batch took

    def _halve(self, size: int) -> None:
        if size <= 1:
            raise ExpclipError(
                f"{self._label}: the memory of {self._device} is not enough for a single input: {_INSTEAD}"
            )
        self.most = size // 2
        _free()


_INSTEAD = f"choose another {option('device')}, {option('dtype')} float16 on a GPU, or a smaller model"


def load(node: Node, device: str) -> Sparing:
    """The encoder of a node. Raises ExpclipError where the memory is not enough for its weights."""
    try:
        return Sparing(node.label, node.load(device), device)
    except (MemoryError, RuntimeError) as error:
        if not _is_want_of_memory(error):
            raise
    raise ExpclipError(f"{node.label}: the memory of {device} is not enough for its weights: {_INSTEAD}")


def _is_want_of_memory(error: Exception) -> bool:
    said = str(error).lower()
    return isinstance(error, MemoryError) or any(words in said for words in _SAID)


def _free() -> None:
    """Give back what a batch took, where torch keeps it for the next."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        with suppress(RuntimeError):
            torch.cuda.empty_cache()
