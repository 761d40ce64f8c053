"""From what the user typed to nodes: every model is found here, and described once a run."""

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..manifests.prompts import instruction
from .hashes import Hashes
from .names import BUILTIN, ClipName, TeacherName, clip_name, teacher_name
from .node import Node
from .precision import DTYPES, DType, Precision, resolve_device

if TYPE_CHECKING:
    from .clip_found import ClipModel
    from .teacher import Teacher

PROTOCOLS = ("released", "paper")


@dataclass(frozen=True, eq=False)
class Models:
    """Finds models and gives their nodes under one protocol, device and number format."""

    memory: Path | None = None
    """File that remembers the digests of weights."""
    protocol: str = "released"
    asked_device: str | None = None
    asked_dtype: DType | None = None

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise UsageError(f"--protocol {self.protocol!r}: choose {' or '.join(PROTOCOLS)}")
        if self.asked_dtype not in (None, *DTYPES):
            raise UsageError(f"--dtype {self.asked_dtype!r}: choose {', '.join(DTYPES)}")

    @cached_property
    def device(self) -> str:
        return resolve_device(self.asked_device)

    @cached_property
    def _precision(self) -> Precision:
        return Precision(self.device, self.asked_dtype)

    @cached_property
    def _hashes(self) -> Hashes:
        return Hashes(self.memory)

    def clip_image(self, name: str) -> Node:
        from . import clip

        return clip.image_node(self._clip(name), self.protocol, self._precision.clip)

    def clip_text(self, name: str) -> Node:
        from . import clip

        return clip.text_node(self._clip(name), self._precision.clip)

    @lru_cache  # noqa: B019  (one Models a run)
    def query_tokens(self, teacher: str) -> Node:
        from . import blip2

        return blip2.query_tokens_node(self._teacher(teacher), self.protocol, self._precision)

    def llm(self, teacher: str, instruction_name: str) -> Node:
        from . import blip2

        asked = instruction(instruction_name)
        query_tokens = self.query_tokens(teacher)
        return blip2.llm_node(self._teacher(teacher), query_tokens, asked.name, asked.text, self._precision)

    def llm_text(self, teacher: str) -> Node:
        from . import blip2

        return blip2.llm_text_node(self._teacher(teacher), self._precision)

    @lru_cache  # noqa: B019
    def _clip(self, name: str) -> "ClipModel":
        from .clip_found import find_clip

        asked = clip_name(name)
        if asked.weights not in BUILTIN:
            return find_clip(asked, self._hashes)
        folder = ClipName("", str(BUILTIN[asked.weights] / "clip"))
        return replace(find_clip(folder, self._hashes), name=asked.canonical)

    @lru_cache  # noqa: B019
    def _teacher(self, name: str) -> "Teacher":
        from .teacher import find_teacher

        asked = teacher_name(name)
        if asked.place not in BUILTIN:
            return find_teacher(asked, self._hashes)
        folder = TeacherName(str(BUILTIN[asked.place] / "teacher"), is_local=True)
        return replace(find_teacher(folder, self._hashes), name=asked.canonical)
