"""The files that models are read from: which they are, and whether they are complete."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from safetensors import SafetensorError, safe_open

from ..errors import ExpclipError
from . import hub
from .checkpoint import Checkpoint
from .node import Role

State = Literal["whole", "no digest on record", "damaged", "missing"]


@dataclass(frozen=True)
class Published:
    """What is known of a model that has a name here."""

    role: Role
    source: str
    """OWNER/REPOSITORY on the hub."""
    bytes: int
    """About what is fetched: of a BLIP-2 only the shards with a tensor of the encoder side."""
    bytes_published: int
    """The whole model, in the same format."""
    licence: str
    """According to its page on the hub."""
    llm_width: int = 0
    """L' of a teacher, the `d_model` of its T5."""


PUBLISHED = {
    "ViT-B-32": Published("clip", "timm/vit_base_patch32_clip_224.openai", 605_000_000, 605_000_000, "Apache-2.0"),
    "ViT-B-16": Published("clip", "timm/vit_base_patch16_clip_224.openai", 598_000_000, 598_000_000, "Apache-2.0"),
    "ViT-L-14": Published(
        "clip", "timm/vit_large_patch14_clip_224.openai", 1_710_000_000, 1_710_000_000, "Apache-2.0"
    ),
    "flava": Published("clip", "facebook/flava-full", 1_220_000_000, 1_220_000_000, "BSD-3-Clause"),
    "blip2-flan-t5-xl": Published(
        "teacher", "Salesforce/blip2-flan-t5-xl", 9_960_000_000, 15_770_000_000, "MIT", 2048
    ),
    "blip2-flan-t5-xxl": Published(
        "teacher", "Salesforce/blip2-flan-t5-xxl", 29_800_000_000, 48_920_000_000, "MIT", 4096
    ),
}
"""No revision is pinned: the commit of what is fetched first is kept for what is fetched later."""


@dataclass(frozen=True)
class ModelFiles:
    """The files that one model is read from."""

    model: str
    checkpoint: Checkpoint | None
    """None for random weights, which need no file."""
    names: tuple[str, ...]
    others: "tuple[ModelFiles, ...]" = ()
    """Those of other repositories."""

    @property
    def every(self) -> "tuple[ModelFiles, ...]":
        """By repository, its own first."""
        return (self, *self.others)

    @property
    def are_here(self) -> bool:
        return all(files.path(name) for files in self.every for name in files.names)

    def path(self, name: str) -> Path | None:
        """Where a file is on this machine; None where it is not."""
        return self.checkpoint and self.checkpoint.here(name)

    @property
    def commit(self) -> str | None:
        """The commit of the hub's repository whose files are here."""
        return None if self.checkpoint is None or self.checkpoint.is_local else hub.commit(self.checkpoint.place)


@dataclass(frozen=True)
class FileState:
    """Whether one file of a model is here, and complete."""

    model: str
    file: str
    path: Path | None
    bytes: int
    state: State


def file_states(files: ModelFiles) -> Iterator[FileState]:
    """Each file of a model, compared with the digest on record; every byte of it is read."""
    for part in files.every:
        for name in part.names:
            path = part.path(name)
            size, state = (path.stat().st_size, _state(path)) if path else (0, "missing")
            yield FileState(part.model, name, path, size, state)


def _state(path: Path) -> State:
    """A safetensors file without a digest on record is damaged if it is cut short, or not one at all."""
    try:
        is_whole = hub.is_whole(path)
        if is_whole is None and path.suffix == ".safetensors":
            with safe_open(path, framework="np"):
                pass
    except SafetensorError:
        return "damaged"
    except OSError as error:
        raise ExpclipError(f"{path}: the file cannot be read ({error.strerror})") from error
    return "no digest on record" if is_whole is None else "whole" if is_whole else "damaged"
