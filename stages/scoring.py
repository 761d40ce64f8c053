"""The options of `expclip evaluate` that may be repeated."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..encoders.names import DEFAULT_CLIP
from ..errors import UsageError
from ..manifests.prompts import DEFAULT_INSTRUCTION, PROMPT_SETS
from .texts import ENSEMBLES

NO_HEAD = "none"
CLIP, LLM = SIDES = ("clip", "llm")
"""What encodes images, and what encodes prompts. The projection leads from CLIP's space to the LLM's."""


@dataclass(frozen=True)
class Scoring:
    """The options that may be repeated: every combination is scored."""

    clips: Sequence[str] = (DEFAULT_CLIP,)
    heads: Sequence[str] | None = None
    """Head ids, folders, files or `none`; by default `none` and all heads of the cache that match."""
    prompts: Sequence[str] = PROMPT_SETS
    frames: str = "released"
    cached_only: bool = False
    images: Sequence[str] = (CLIP,)
    texts: Sequence[str] = (CLIP,)
    teacher: str | None = None
    instructions: Sequence[str] = (DEFAULT_INSTRUCTION,)
    """Of e_G where no head says which it is: where the LLM encodes images and texts."""
    ensemble: str = "logits"
    """How the prompts of a class become one: see PromptEmbeddings."""
    intervals: bool = True
    """Whether 95 % intervals, and gains over plain CLIP, are computed."""

    def __post_init__(self) -> None:
        for option, sides in (("--image", self.images), ("--text", self.texts)):
            for side in sides:
                if side not in SIDES:
                    raise UsageError(f"{option} {side!r}: choose {' or '.join(SIDES)}")
        if self.ensemble not in ENSEMBLES:
            raise UsageError(f"--ensemble {self.ensemble!r}: choose {' or '.join(ENSEMBLES)}")
