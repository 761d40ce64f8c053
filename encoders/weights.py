"""The files that models are read from: which they are, fetching what is missing, and whether they are whole."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import open_clip
from safetensors import SafetensorError, safe_open

from ..errors import ExpclipError, UsageError
from . import hub
from .checkpoint import INDEX, WHOLE, Checkpoint
from .clip_found import FOLDER_CONFIG, FOLDER_WEIGHTS, TOKENIZER_FILES, hub_weights
from .filling import needed
from .hashes import Hashes
from .names import BUILTIN, RANDOM, ClipName, TeacherName, clip_name, teacher_name
from .teacher import CONFIG, TOKENIZER, ImageParts, TextParts, find_teacher

Kind = Literal["clip", "teacher"]
State = Literal["whole", "no digest on record", "damaged", "missing"]


@dataclass(frozen=True)
class Published:
    """What is on record of a model that has a name here."""

    kind: Kind
    source: str
    """OWNER/REPOSITORY on the hub."""
    bytes: int
    """About what is fetched: of a BLIP-2 the shards with a tensor of the encoder side, where those come first."""
    bytes_published: int
    """The whole model, in the same format."""
    licence: str
    """As its page on the hub says."""


PUBLISHED = {
    "ViT-B-32": Published("clip", "timm/vit_base_patch32_clip_224.openai", 605_000_000, 605_000_000, "Apache-2.0"),
    "ViT-B-16": Published("clip", "timm/vit_base_patch16_clip_224.openai", 598_000_000, 598_000_000, "Apache-2.0"),
    "ViT-L-14": Published(
        "clip", "timm/vit_large_patch14_clip_224.openai", 1_710_000_000, 1_710_000_000, "Apache-2.0"
    ),
    "blip2-flan-t5-xl": Published("teacher", "Salesforce/blip2-flan-t5-xl", 9_960_000_000, 15_770_000_000, "MIT"),
    "blip2-flan-t5-xxl": Published("teacher", "Salesforce/blip2-flan-t5-xxl", 29_800_000_000, 48_920_000_000, "MIT"),
}
"""No revision is pinned: the commit of what is fetched first is kept for what is fetched later."""


@dataclass(frozen=True)
class ModelFiles:
    """The files that one model is read from."""

    model: str
    kind: Kind
    checkpoint: Checkpoint | None
    """None for random weights, which need no file."""
    names: tuple[str, ...]

    def path(self, name: str) -> Path | None:
        """Where a file is on this machine; None where it is not."""
        if self.checkpoint is None:
            return None
        if not self.checkpoint.is_local:
            return hub.cached(self.checkpoint.place, name)
        path = Path(self.checkpoint.place) / name
        return path if path.is_file() else None

    @property
    def commit(self) -> str | None:
        """The commit of the hub's repository whose files are here."""
        is_hub = self.checkpoint is not None and not self.checkpoint.is_local
        return hub.commit(self.checkpoint.place) if is_hub and self.checkpoint else None


@dataclass(frozen=True)
class FileState:
    """Whether one file of a model is here, and whole."""

    model: str
    file: str
    path: Path | None
    bytes: int
    state: State


def clip_files(text: str, fetch: bool = False) -> ModelFiles:
    """The files of a CLIP, looking only at this machine unless they are to be fetched.

    Raises UsageError for an unknown name or folder, and ExpclipError where files cannot be fetched.
    """
    asked = clip_name(text)
    if asked.weights == RANDOM:
        return ModelFiles(asked.canonical, "clip", None, ())
    if not asked.architecture:
        checkpoint = Checkpoint(str(_folder(asked)), is_local=True)
        weights = checkpoint.first(FOLDER_WEIGHTS) or FOLDER_WEIGHTS[0]
        tokenizer = (name for name in TOKENIZER_FILES if checkpoint.first((name,)))
        return ModelFiles(asked.canonical, "clip", checkpoint, (FOLDER_CONFIG, weights, *tokenizer))
    tag = open_clip.get_pretrained_cfg(asked.architecture, asked.weights)
    if not tag:
        path = Path(asked.weights).expanduser().absolute()
        return ModelFiles(asked.canonical, "clip", Checkpoint(str(path.parent), is_local=True), (path.name,))
    checkpoint, wanted = hub_weights(asked, tag)
    here = next((name for name in wanted if hub.cached(checkpoint.place, name)), None)
    name = here or (checkpoint.first(wanted) if fetch else None) or wanted[0]
    if fetch:
        checkpoint.file(name)
    return ModelFiles(asked.canonical, "clip", checkpoint, (name,))


def teacher_files(text: str, fetch: bool = False) -> ModelFiles:
    """The files of a teacher's encoder side; arguments and errors as in `clip_files`.

    Of its shards only those that hold a tensor of the encoder side: the T5 decoder, more than half of a checkpoint,
    is neither fetched nor missed. Where not even its configuration is here, that is all that is known to be needed.
    """
    asked = teacher_name(text)
    place = BUILTIN[asked.place] / "teacher" if asked.place in BUILTIN else Path(asked.place).absolute()
    checkpoint = Checkpoint(str(place) if asked.is_local else asked.place, asked.is_local)
    looked_at: Checkpoint | None = checkpoint
    if not asked.is_local and not fetch:
        snapshot = hub.snapshot(asked.place)
        looked_at = Checkpoint(str(snapshot), is_local=True) if snapshot else None
    names = _encoder_side(looked_at) if looked_at and _is_described(looked_at, fetch) else (CONFIG, TOKENIZER, INDEX)
    if fetch:
        for name in names:
            checkpoint.file(name)
    return ModelFiles(asked.canonical, "teacher", checkpoint, names)


def file_states(files: ModelFiles) -> Iterator[FileState]:
    """Each file of a model, compared with the digest on record; every byte of it is read."""
    for name in files.names:
        path = files.path(name)
        if path is None:
            yield FileState(files.model, name, None, 0, "missing")
        else:
            yield FileState(files.model, name, path, path.stat().st_size, _state(path))


def _folder(asked: ClipName) -> Path:
    if asked.weights in BUILTIN:
        return BUILTIN[asked.weights] / "clip"
    folder = Path(asked.weights).expanduser().absolute()
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}")
    return folder


def _is_described(checkpoint: Checkpoint, fetch: bool) -> bool:
    """Whether it can be said which files are needed: from what is here, or is fetched for it."""
    return fetch or (bool(checkpoint.first((CONFIG,))) and bool(checkpoint.first((INDEX, WHOLE))))


def _encoder_side(checkpoint: Checkpoint) -> tuple[str, ...]:
    teacher = find_teacher(TeacherName(checkpoint.place, checkpoint.is_local), Hashes())
    holder = checkpoint.tensors()
    shards = {
        holder[name] for parts in (ImageParts(teacher), TextParts(teacher)) for name in needed(parts, checkpoint)
    }
    index = () if shards == {WHOLE} else (INDEX,)
    return CONFIG, TOKENIZER, *index, *sorted(shards)


def _state(path: Path) -> State:
    """A file without a digest on record is damaged if it is cut or no safetensors file at all."""
    try:
        whole = hub.is_whole(path)
        if whole is None and path.suffix == ".safetensors":
            with safe_open(path, framework="pt"):
                return "no digest on record"
    except SafetensorError:
        return "damaged"
    except OSError as error:
        raise ExpclipError(f"{path}: the file cannot be read ({error.strerror})") from error
    return "no digest on record" if whole is None else "whole" if whole else "damaged"
