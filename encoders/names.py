"""What models are called, without importing any of them."""

import difflib
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError, one_of, option

DEFAULT_CLIP = "ViT-L-14"
DEFAULT_TEACHER = "blip2-flan-t5-xxl"
LOCAL_DIR = "local-dir:"
RANDOM = "random"
FLAVA = "flava"
_FLAVA_HUB = "facebook/flava-full"

BUILTIN = {"miniature": Path(__file__).parent / "miniature"}
"""Models that come with expclip: folders with a `clip` and a `teacher` in the formats of the real checkpoints."""

_OPENAI = ("ViT-B-32", "ViT-B-16", "ViT-L-14")
_TEACHERS = {"blip2-flan-t5-xxl": "Salesforce/blip2-flan-t5-xxl", "blip2-flan-t5-xl": "Salesforce/blip2-flan-t5-xl"}


@dataclass(frozen=True)
class ModelName:
    """A model as asked for."""

    canonical: str
    """What it is called in the cache: without folders, and with tags as open_clip lists them."""
    source: str = ""
    """A tag, `random`, a file, a folder, OWNER/REPOSITORY on the hub, or the name of a built-in model."""
    is_path: bool = False
    """Whether the source is a folder or a file of this machine, which may hold any weights."""
    architecture: str = ""
    """Of a CLIP: open_clip's name for it; empty for a folder."""

    @property
    def is_builtin(self) -> bool:
        """Whether it comes with expclip."""
        return self.source in BUILTIN and not self.is_path

    @property
    def typed(self) -> str:
        """A CLIP as it may be typed."""
        return f"{self.architecture}@{self.source}" if self.architecture else f"{LOCAL_DIR}{self.source}"


def clip_name(text: str) -> ModelName:
    """What `ARCH`, `ARCH@TAG`, `ARCH@FILE`, `ARCH@random`, `local-dir:PATH` or `miniature` names.

    OpenAI's models were trained with QuickGELU: their plain names mean the `-quickgelu` architectures.
    """
    place = text.removeprefix(LOCAL_DIR)
    if place in BUILTIN:
        return ModelName(place, place)
    if text.startswith(LOCAL_DIR):
        return ModelName(Path(place).expanduser().absolute().name, place, is_path=True)
    architecture, _, weights = text.partition("@")
    if not weights and architecture.removesuffix("-quickgelu") in _OPENAI:
        weights = "openai"
    if not architecture or not weights:
        close = difflib.get_close_matches(text, [*BUILTIN, *_OPENAI], n=1, cutoff=0.75)
        raise UsageError(
            f"{option('clip')} {text!r}: "
            + (f"did you mean {close[0]}? Otherwise " if close else "")
            + "name the weights too, as ARCH@TAG, ARCH@FILE or ARCH@random "
            f"(only {', '.join(_OPENAI)} have a default, OpenAI's)"
        )
    if weights == "openai" and architecture in _OPENAI:
        architecture += "-quickgelu"
    is_file = any(mark in weights for mark in "/\\.")  # tags hold none of these
    short = Path(weights).name if is_file else weights.lower().replace("-", "_")
    return ModelName(f"{architecture}@{short}", weights, is_file, architecture)


def teacher_name(text: str) -> ModelName:
    """What a known name, `OWNER/REPOSITORY` on the hub, a local folder or `miniature` names."""
    path = Path(text.removeprefix(LOCAL_DIR)).expanduser()
    is_local = text.startswith((LOCAL_DIR, ".")) or path.is_dir() or path.is_absolute()
    source = str(path) if is_local else _TEACHERS.get(text, text)
    if source in BUILTIN:
        return ModelName(source, source)
    if is_local:
        return ModelName(path.absolute().name, source, is_path=True)
    if source.count("/") != 1:
        raise UsageError(
            f"{option('teacher')} {text!r}: choose {one_of([*_TEACHERS, 'OWNER/REPOSITORY', 'a folder'])}"
        )
    short = {repository: name for name, repository in _TEACHERS.items()}
    return ModelName(short.get(source, source), source)


def is_flava(text: str) -> bool:
    """Whether a text names a FLAVA: by its word, in any case, or by its repository on the hub."""
    return text.partition("@")[0].lower() in (FLAVA, _FLAVA_HUB)


def flava_name(text: str) -> ModelName:
    """What `flava`, `flava@FOLDER` or `flava@random` names."""
    _, at, source = text.partition("@")
    if not at:
        return ModelName(FLAVA, _FLAVA_HUB, architecture=FLAVA)
    if not source:
        raise UsageError(f"{option('clip')} {text!r}: name a folder, as flava@FOLDER, or write flava or flava@random")
    if source.lower() == RANDOM:
        return ModelName(f"{FLAVA}@{RANDOM}", RANDOM, architecture=FLAVA)
    return ModelName(f"{FLAVA}@{Path(source).expanduser().absolute().name}", source, True, FLAVA)
