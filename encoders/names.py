"""How models are called, without importing any of them."""

import difflib
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError

DEFAULT_CLIP = "ViT-L-14"
DEFAULT_TEACHER = "blip2-flan-t5-xxl"
LOCAL_DIR = "local-dir:"
RANDOM = "random"

BUILTIN = {"miniature": Path(__file__).parent / "miniature"}
"""Models that come with expclip: folders with a `clip` and a `teacher` in the formats of the real checkpoints."""

_OPENAI = ("ViT-B-32", "ViT-B-16", "ViT-L-14")
_TEACHERS = {
    "blip2-flan-t5-xxl": "Salesforce/blip2-flan-t5-xxl",
    "blip2-flan-t5-xl": "Salesforce/blip2-flan-t5-xl",
}


@dataclass(frozen=True)
class ClipName:
    """A CLIP as asked for: an open_clip architecture with weights, or a folder in open_clip's format."""

    architecture: str
    """Empty for a folder."""
    weights: str
    """A tag, a file, "random", or the folder."""

    @property
    def is_file(self) -> bool:
        """Whether the weights are written as a file is; tags hold no dots or slashes."""
        return any(mark in self.weights for mark in "/\\.")

    @property
    def canonical(self) -> str:
        """What the model is called in the cache: without the folders of local files, tags as open_clip lists them."""
        if not self.architecture:
            return self.weights if self.weights in BUILTIN else Path(self.weights).expanduser().absolute().name
        tag = self.weights.lower().replace("-", "_")
        return f"{self.architecture}@{Path(self.weights).name if self.is_file else tag}"


def clip_name(text: str) -> ClipName:
    """`ARCH`, `ARCH@TAG`, `ARCH@FILE`, `ARCH@random`, `local-dir:PATH` or `miniature`.

    OpenAI's models were trained with QuickGELU: their plain names mean the `-quickgelu` architectures.
    """
    if text in BUILTIN:
        return ClipName("", text)
    if text.startswith(LOCAL_DIR):
        return ClipName("", text.removeprefix(LOCAL_DIR))
    architecture, _, weights = text.partition("@")
    if not weights and architecture.removesuffix("-quickgelu") in _OPENAI:
        weights = "openai"
    if not architecture or not weights:
        close = difflib.get_close_matches(text, [*BUILTIN, *_OPENAI], n=1, cutoff=0.75)
        raise UsageError(
            (f"--clip {text!r}: did you mean {close[0]}? Otherwise " if close else f"--clip {text!r}: ")
            + "name the weights too, as ARCH@TAG, ARCH@FILE or ARCH@random "
            f"(only {', '.join(_OPENAI)} have a default, OpenAI's)"
        )
    if weights == "openai" and architecture in _OPENAI:
        architecture += "-quickgelu"
    return ClipName(architecture, weights)


@dataclass(frozen=True)
class TeacherName:
    """A BLIP-2 with a T5 as asked for: a repository of the hub or a local folder."""

    place: str
    is_local: bool

    @property
    def canonical(self) -> str:
        short = {repository: name for name, repository in _TEACHERS.items()}
        if self.is_local and self.place not in BUILTIN:
            return Path(self.place).absolute().name
        return short.get(self.place, self.place)


def teacher_name(text: str) -> TeacherName:
    """A known name, `OWNER/REPOSITORY` of the hub, a local folder, or `miniature`."""
    if text in BUILTIN:
        return TeacherName(text, True)
    path = Path(text.removeprefix(LOCAL_DIR)).expanduser()
    if text.startswith((LOCAL_DIR, ".")) or path.is_dir() or path.is_absolute():
        return TeacherName(str(path), True)
    if text in _TEACHERS:
        return TeacherName(_TEACHERS[text], False)
    if text.count("/") == 1:
        return TeacherName(text, False)
    raise UsageError(f"--teacher {text!r}: neither {', '.join(_TEACHERS)}, OWNER/REPOSITORY, nor a folder")
