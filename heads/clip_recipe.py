"""How a head learns to lead clips to prompts: what of these is learnt, which frames are drawn, which epoch counts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch

    from .unfinished import Unfinished

LEARNED, FIXED = TEXTS = ("learned", "fixed")
"""Whether prompts have learnt contexts, or stay as they are."""
POSITIONS = ("end", "middle", "front")
"""Where the words of a class stand: at the end behind the context, in its middle, or in front of it."""
PER_CLASS, SHARED = CONTEXTS = ("per-class", "shared")
"""Whether every class has a context of its own, or all have the same."""
RELEASED, CORRECTED = SAMPLERS = ("released", "corrected")
"""How 16 frames are drawn of all."""
LAST, VALIDATION, TEST_FOLD = SELECTS = ("last", "validation", "test-fold")
"""Which epoch counts: the last, or the best on clips that were held out, or on the fold that is tested."""


class Tower(Protocol):
    """A text tower with a way in behind its token embeddings."""

    @property
    def context_length(self) -> int:
        """Tokens that it reads."""
        ...

    def words(self, texts: Sequence[str]) -> "tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]":
        """The token embeddings (n, W) of each text, of what stands before all (s, W), and of their end (1, W)."""
        ...

    def encode(self, embedded: "torch.Tensor", ends: "torch.Tensor") -> "torch.Tensor":
        """(K, L) embeddings, not normalised, of sequences (K, T, W) that end at the places `ends` (K,)."""
        ...


@dataclass(frozen=True)
class Contexts:
    """What is learnt of prompts."""

    tokens: int = 8
    per: str = PER_CLASS
    """One of CONTEXTS."""
    position: str = "end"
    """Of the words of a class, one of POSITIONS."""
    lr: float = 1e-3
    """Learning rate of SGD."""


@dataclass(frozen=True)
class ClassTexts:
    """The words of each class, and the tower that reads them."""

    tower: Tower
    texts: tuple[str, ...]


@dataclass(frozen=True)
class ClipTraining:
    """How clips are learnt, beside the recipe."""

    prompts: ClassTexts | None = None
    """Whose contexts are learnt; None where texts are fixed."""
    contexts: Contexts = field(default_factory=Contexts)
    sampler: str | None = RELEASED
    """One of SAMPLERS; None takes the frames of each clip as they are, of which all have as many."""
    unfinished: "Unfinished | None" = None
    """Where what is reached is kept; None keeps nothing."""
