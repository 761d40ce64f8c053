"""What models are called, without importing any of them."""

import difflib
import os
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from ..errors import UsageError, one_of, option
from .configuration import HUB_NAME

DEFAULT_CLIP = "ViT-L-14"
DEFAULT_TEACHER = "blip2-flan-t5-xxl"
LOCAL_DIR, HUB = "local-dir:", "hf-hub:"
RANDOM = "random"
FOLDER_CONFIG = "open_clip_config.json"
"""What describes a CLIP that is a folder or a repository."""
FLAVA = "flava"
_FLAVA_HUB = "facebook/flava-full"

BUILTIN = {"miniature": Path(__file__).parent / "miniature"}
"""Models that come with expclip: folders with a `clip` and a `teacher` in the formats of the real checkpoints."""

_LONGEST = 255
"""Bytes of the name of a file, on any system."""
OPENAI = "openai"
"""The tag of OpenAI's weights."""
_OPENAI = ("ViT-B-32", "ViT-B-16", "ViT-L-14")
_LARGE = "ViT-L-14-336-quickgelu@openai"
_ALIASES = {
    "vit-b/32": "ViT-B-32",
    "vit-b/16": "ViT-B-16",
    "vit-l/14": "ViT-L-14",
    "vit-l/14@336px": _LARGE,
    **{f"openai/clip-vit-base-patch{size}": f"ViT-B-{size}" for size in (32, 16)},
    "openai/clip-vit-large-patch14": "ViT-L-14",
    "openai/clip-vit-large-patch14-336": _LARGE,
}
"""What OpenAI's library and transformers call OpenAI's models, in lower case."""


class WithoutHub(NamedTuple):
    """A system whose weights have to be downloaded by hand, and then are a CLIP's."""

    architecture: str
    name: str
    """What `weights convert` calls it."""
    address: str


WITHOUT_HUB = {"farl-b16": WithoutHub("ViT-B-16-quickgelu", "farl", "https://github.com/FacePerceiver/FaRL/releases")}
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
    is_hub: bool = False
    """Of a CLIP: whether the source is a repository, whose configuration is used too."""

    @property
    def is_builtin(self) -> bool:
        """Whether it comes with expclip."""
        return self.source in BUILTIN and not self.is_path

    @property
    def typed(self) -> str:
        """A CLIP as it may be typed."""
        if self.architecture:
            return f"{self.architecture}@{self.source}"
        return f"{HUB if self.is_hub else LOCAL_DIR}{self.source}"


def clip_name(text: str) -> ModelName:
    """What `ARCH`, `ARCH@TAG`, `ARCH@FILE`, `ARCH@random`, `local-dir:PATH`, `hf-hub:OWNER/REPO`, `miniature` names.

    In any case, where it is no path. OpenAI's models were trained with QuickGELU: their plain names mean the
    `-quickgelu` architectures, and so do the names that OpenAI's and other libraries give them.
    """
    refuse_longer(text, "clip")
    place = _without(LOCAL_DIR, text)
    if place.lower() in BUILTIN:
        return ModelName(place.lower(), place.lower())
    if place != text:
        return ModelName(Path(place).expanduser().absolute().name, place, is_path=True)
    repository = _without(HUB, text)
    if repository.lower() in _ALIASES:
        return _of_architecture(_ALIASES[repository.lower()])
    if "@" in text:
        return _of_architecture(text)
    if repository == text and "/" in text and Path(text).is_dir():
        raise UsageError(f"{option('clip')} {text} is a folder here: write {LOCAL_DIR}{text}")
    if HUB_NAME.holds(repository) and "/" in repository:
        return ModelName(repository, repository, is_hub=True)
    if repository != text:
        raise UsageError(f"{option('clip')} {text!r}: write {HUB} and OWNER/REPOSITORY")
    return _of_architecture(text)


def refuse_longer(text: str, name: str) -> None:
    """Raise UsageError for a name with a part that no file can have, which the system would not even look for."""
    if any(len(os.fsencode(part)) > _LONGEST for part in Path(text).parts):
        raise UsageError(f"{option(name)} {text[:32]!r}…: no file has a name of more than {_LONGEST} bytes")


def _of_architecture(text: str) -> ModelName:
    typed, _, weights = text.partition("@")
    architecture = _trained_by_others(typed, weights) or architectures().get(typed.lower(), typed)
    if not weights and architecture.removesuffix("-quickgelu") in _OPENAI:
        weights = OPENAI
    if not architecture or not weights:
        raise UsageError(f"{option('clip')} {text!r}: {_unfinished(typed)}")
    if weights.lower() == OPENAI and architecture in _OPENAI:
        architecture += "-quickgelu"
    is_file = _is_file(weights)
    short = Path(weights).name if is_file else weights.lower().replace("-", "_")
    called = typed.lower() if typed.lower() in WITHOUT_HUB else architecture
    return ModelName(f"{called}@{short}", weights, is_file, architecture)


def _trained_by_others(typed: str, weights: str) -> str:
    """The architecture of a system that has a name here and is on no hub; empty for other names."""
    if typed.lower() not in WITHOUT_HUB:
        return ""
    system = WITHOUT_HUB[typed.lower()]
    if weights and weights.lower() != RANDOM and not Path(weights).expanduser().is_file() and not _is_file(weights):
        raise UsageError(f"{option('clip')} {typed}@{weights}: write the file that `weights convert` made, or random")
    if not weights:
        raise UsageError(_on_no_hub(typed, system.name, system.address))
    return system.architecture


def _on_no_hub(typed: str, system: str, address: str) -> str:
    return (
        f"{option('clip')} {typed}: its weights are on no hub: download them from {address}, run `expclip weights "
        f"convert {system} FILE`, and write {typed.lower()}@ and the file that it makes"
    )


def _is_file(weights: str) -> bool:
    """Whether weights are a file by their name: tags hold none of these."""
    return any(mark in weights for mark in "/\\.")


def _unfinished(typed: str) -> str:
    """What a name without weights lacks, or may mean."""
    close = [] if typed.lower() in architectures() else closest(typed)
    return (
        (f"did you mean {one_of(close)}? Otherwise " if close else "")
        + "name the weights too, as ARCH@TAG, ARCH@FILE or ARCH@random "
        f"(only {', '.join(_OPENAI)} have a default, OpenAI's)"
    )


@cache
def architectures() -> dict[str, str]:
    """open_clip's architectures by their names in lower case; they are files, for which it need not be imported."""
    found = find_spec("open_clip")
    folder = Path(found.origin or "").parent / "model_configs" if found else Path()
    return {path.stem.lower(): path.stem for path in sorted(folder.glob("*.json"))} if found else {}


def closest(typed: str) -> list[str]:
    """Up to five names that a text may mean: that hold its letters and digits, or else that are spelt like it."""
    known = [*BUILTIN, *WITHOUT_HUB, *_OPENAI, *architectures().values()]
    letters = _letters(typed)
    holding = [name for name in dict.fromkeys(known) if letters and letters in _letters(name)]
    by_letters = {_letters(name): name for name in reversed(known)}
    close = [by_letters[one] for one in difflib.get_close_matches(letters, by_letters, n=3)]
    return sorted(holding, key=len)[:5] or close


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower()))


def _without(prefix: str, text: str) -> str:
    return text[len(prefix) :] if text[: len(prefix)].lower() == prefix else text


def teacher_name(text: str) -> ModelName:
    """What a known name, `OWNER/REPOSITORY` on the hub, a local folder or `miniature` names."""
    refuse_longer(text, "teacher")
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
    refuse_longer(text, "clip")
    _, at, source = text.partition("@")
    if not at:
        return ModelName(FLAVA, _FLAVA_HUB, architecture=FLAVA)
    if not source:
        raise UsageError(f"{option('clip')} {text!r}: name a folder, as flava@FOLDER, or write flava or flava@random")
    if source.lower() == RANDOM:
        return ModelName(f"{FLAVA}@{RANDOM}", RANDOM, architecture=FLAVA)
    return ModelName(f"{FLAVA}@{Path(source).expanduser().absolute().name}", source, True, FLAVA)


def is_word(word: str, text: str) -> bool:
    """Whether a text names a model of a family by its word, in any case."""
    return text.partition("@")[0].lower() == word


def file_name(word: str, address: str, text: str) -> ModelName:
    """What `WORD@FILE` or `WORD@random` names, of a family whose weights are on no hub but at an address."""
    refuse_longer(text, "clip")
    typed, _, source = text.partition("@")
    if not source:
        raise UsageError(_on_no_hub(typed, word, address))
    if source.lower() == RANDOM:
        return ModelName(f"{word}@{RANDOM}", RANDOM, architecture=word)
    return ModelName(f"{word}@{Path(source).name}", source, True, word)
