"""A node of the flow: one kind of feature under one frozen encoder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np

from ..cache.keys import digest
from .squash import Squash

Input = Literal["pixels", "text", "query_tokens"]
Role = Literal["clip", "teacher"]


@dataclass(frozen=True)
class NodeKind:
    """A kind of feature: which model computes it, and from what."""

    role: Role
    of: Literal["images", "texts"]
    input: Input
    has_instruction: bool = False


NODES = {
    "clip_image": NodeKind("clip", "images", "pixels"),
    "query_tokens": NodeKind("teacher", "images", "pixels"),
    "llm": NodeKind("teacher", "images", "query_tokens", has_instruction=True),
    "clip_text": NodeKind("clip", "texts", "text"),
    "llm_text": NodeKind("teacher", "texts", "text"),
}
"""A row is an image or a text. How a row could be a whole clip is said in docs/extending.md."""


@dataclass(frozen=True)
class Reading:
    """What an encoder reads of a text."""

    tokens: tuple[int, ...]
    """Texts of which it reads the same tokens have the same features."""
    is_cut: bool
    """Whether the text is longer than the encoder reads, so that its end is cut off."""


@dataclass(frozen=True, eq=False)
class Node:
    """What is computed, by which encoder, from what. It pickles; the encoder itself is loaded where it runs."""

    name: str
    """One of NODES."""
    model: str
    spec: dict[str, Any]
    """Everything that can change the values."""
    row_shape: tuple[int, ...]
    input: Input
    load: "Callable[[str], Encoder]"
    """Loads the encoder onto a device."""
    untrained: bool = False
    protocol: str = ""
    instruction: str = ""
    squash: Squash | None = None
    """How an image becomes pixels; None where the input is not an image."""
    parent: "Node | None" = None
    """The node whose stored features are the input; None where the input is an image or a text."""
    reads: Callable[[Sequence[str]], list[Reading]] | None = None
    """What is read of texts, found without loading weights; None where the input is no text, or is read whole."""

    @cached_property
    def digest(self) -> str:
        """The encoder digest: SHA-256 of the spec."""
        return digest(self.spec)

    @property
    def label(self) -> str:
        """Human-readable: what, by which model, under which instruction."""
        instruction = f" · {self.instruction}" if self.instruction else ""
        return f"{self.name} · {self.model}{instruction}{' · untrained' if self.untrained else ''}"


Fetch = Callable[[], np.ndarray]
"""Gives the features of a batch, and waits for them where they are still on their way."""


class Encoder(Protocol):
    """A loaded encoder.

    One whose device works by itself may also have `begin(batch)`, which gives a Fetch and does not wait.
    """

    def __call__(self, batch: Any, /) -> np.ndarray:
        """(n, *row_shape) float32 for n inputs.

        Pixels come as uint8 (n, size, size, 3), texts as a list of str, query tokens as stored (n, tokens, width).
        """
        ...
