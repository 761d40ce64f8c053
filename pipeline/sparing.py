"""Encoders by what the memory allows: a batch that is too much is taken in halves, and others may have to leave."""

import gc
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..encoders.node import Encoder, Fetch, Node
from ..errors import ExpclipError, option

_LOOKS = 2
"""Batches of one size of which the last is timed."""
_WORTH = 1.05
"""How many times as fast twice the size has to be."""
_LONG_TO_LOAD = 5.0
"""Seconds of loading from which on they are noted: estimates count them then."""
_BEGINS_WITH = 32
"""Inputs at once where the size is to grow."""
_SAID = ("out of memory", "can't allocate memory", "not enough memory", "unable to allocate")
"""What the libraries say whose errors have no type of their own for it."""


class Sparing:
    """An encoder on a device. Its results are those of its batches, but for the last bits of a float."""

    def __init__(self, label: str, encoder: Encoder, device: str):
        self.most: int | None = None
        """Inputs that it takes at once; None where it is whatever a batch has."""
        self.load_seconds = 0.0
        """How long loading it took, until that is noted with what it encodes first."""
        self._growth: _Growth | None = None
        self._label, self._encoder, self._device = label, encoder, device

    @property
    def runs_ahead(self) -> bool:
        """Whether the device works by itself on what was begun."""
        return self._device.startswith("cuda")

    def grow_from(self, size: int) -> None:
        """Take so many inputs at once, and from then on twice as many as long as that is faster."""
        self.most, self._growth = size, _Growth()

    def __call__(self, batch: Any, /) -> np.ndarray:
        """(n, …) for n inputs. Raises ExpclipError where the memory is not enough for a single one."""
        return self.begin(batch)()

    def begin(self, batch: Any) -> Fetch:
        """What gives the features of a batch: a GPU is still at it. Raises as a call does."""
        parts: list[Fetch] = []
        start = 0
        while start < len(batch) or not parts:
            size = min(self.most or len(batch), len(batch) - start)
            found = self._begun(batch[start : start + size])
            if found is None:
                self._halve(size)
            else:
                parts.append(found)
                start += size
        return parts[0] if len(parts) == 1 else lambda: np.concatenate([part() for part in parts])

    def _begun(self, some: Any) -> Fetch | None:
        """What gives the features of some inputs; None where the memory is not enough."""
        try:
            if self._growth is None or len(some) != self.most:
                return self._begin(some)
            return self._timed(self._growth, some)
        except (MemoryError, RuntimeError) as error:
            if not _is_want_of_memory(error):
                raise
        return None  # behind the block, so that nothing holds what the batch took

    def _begin(self, some: Any) -> Fetch:
        begin = getattr(self._encoder, "begin", None) if self.runs_ahead else None
        if begin is not None:
            return begin(some)
        features = self._encoder(some)
        return lambda: features

    def _timed(self, growth: "_Growth", some: Any) -> Fetch:
        started = time.perf_counter()
        features = self._begin(some)()
        self.most = growth.next_size(len(some), time.perf_counter() - started)
        if growth.is_over:
            self._growth = None
        return lambda: features

    def _halve(self, size: int) -> None:
        if size <= 1:
            raise ExpclipError(
                f"{self._label}: the memory of {self._device} is not enough for a single input: {_INSTEAD}"
            )
        self.most, self._growth = size // 2, None
        _free()


@dataclass
class _Growth:
    """How many inputs an encoder takes at once, found while it works."""

    is_over: bool = False
    _rate: float = 0.0
    """Inputs a second of the size before."""
    _seen: int = 0
    """Batches of this size; the first one also pays for what is set up, and does not count."""

    def next_size(self, size: int, seconds: float) -> int:
        """The size for what comes next, when a batch of this size took so long."""
        self._seen += 1
        if self._seen < _LOOKS:
            return size
        before, self._rate, self._seen = self._rate, size / max(seconds, 1e-9), 0
        if self._rate > _WORTH * before:
            return 2 * size
        self.is_over = True
        return size // 2


_INSTEAD = f"choose another {option('device')}, {option('dtype')} float16 on a GPU, or a smaller model"


class Loaded:
    """The encoders of a process on a device, each loaded when it is first asked for. Threads may share it."""

    def __init__(self, device: str, grows: bool):
        self._device, self._grows = device, grows
        self._loaded: dict[str, tuple[Node, Sparing]] = {}
        self._loading = threading.RLock()

    def __call__(self, node: Node) -> Sparing:
        """The encoder of a node.

        Where the memory is not enough for it too, those that take other inputs leave: they come back when they are
        needed. Raises ExpclipError where it is not enough then either.
        """
        with self._loading:
            if node.digest not in self._loaded:
                self._loaded[node.digest] = node, self._load(node)
            return self._loaded[node.digest][1]

    def _load(self, node: Node) -> Sparing:
        started = time.perf_counter()
        try:
            encoder = load(node, self._device)
        except NoRoomError:
            others = [digest for digest, (one, _) in self._loaded.items() if one.input != node.input]
            if not others:
                raise
            for digest in others:
                del self._loaded[digest]
            _free()
            encoder = load(node, self._device)
        took = time.perf_counter() - started
        encoder.load_seconds = took if took >= _LONG_TO_LOAD else 0.0
        if self._grows:
            encoder.grow_from(_BEGINS_WITH)
        return encoder


class NoRoomError(ExpclipError):
    """The memory is not enough for the weights of an encoder."""


def load(node: Node, device: str) -> Sparing:
    """The encoder of a node. Raises ExpclipError where the memory is not enough for its weights."""
    try:
        return Sparing(node.label, node.load(device), device)
    except (MemoryError, RuntimeError) as error:
        if not _is_want_of_memory(error):
            raise
    raise NoRoomError(f"{node.label}: the memory of {device} is not enough for its weights: {_INSTEAD}")


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
