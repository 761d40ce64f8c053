"""Heads on disk: a safetensors file and what is known of it, beside it in a JSON file or within it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, TypeAdapter
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save, save_file

from ..cache.files import new_file, new_folder, read_json, write_json
from ..cache.keys import digest
from ..errors import UsageError, option, quoted, reason
from ..untrusted import open_file, parse_json, read_text
from .kinds import KINDS

SUFFIXES = (".pth", ".safetensors")
"""Of files that heads are exported to."""
_WEIGHTS = "head.safetensors"
_CARD = "head.json"
_LOSSES = "losses.csv"
_CARD_WITHIN = "expclip"
"""Key of the card among the metadata of a file that was exported."""


@dataclass(frozen=True)
class HeadCard:
    """What a head is and what it was trained from."""

    id: str
    """The first 12 digits of the digest of `spec`."""
    head: str
    """Its kind, a name of `kinds.KINDS`."""
    objective: str
    backbone: str
    """The CLIP whose embeddings it projects."""
    clip_digest: str
    """Encoder digest of those embeddings: test features must have the same."""
    teacher: str
    instruction: str
    protocol: str
    train: str
    """Name of the data set it was trained on."""
    seed: int | None
    """None for a head that has none, or whose is unknown."""
    untrained: bool
    """Whether an encoder behind it has random weights."""
    spec: dict[str, Any]
    """Everything that determines the head: kind, sizes, objective, optimiser, seed, the two stores' keys, failed
    rows; for one that was imported, its weights' digest and what was said of it."""
    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0
    fitted: str = ""

    @property
    def recipe(self) -> str:
        """What is the same for heads that differ only in the seed: 8 digits."""
        return digest({name: value for name, value in self.spec.items() if name != "seed"})[:8]

    @property
    def label(self) -> str:
        objective = "" if self.objective == "infonce" else f", {self.objective}"
        seed = "" if self.seed is None else f" · seed {self.seed}"
        instruction = f" · {self.instruction}" if self.instruction else ""
        return f"{self.head}{objective}{instruction}{seed}"


class _OfSpec(BaseModel, defer_build=True):
    """What is read of a spec besides its digest."""

    llm: str | None = None
    form: str | None = None
    classes: list[str] | None = None


@cache
def _adapter() -> TypeAdapter[HeadCard]:
    return TypeAdapter(HeadCard)


_FIELDS = {one.name for one in fields(HeadCard)}

Kept = tuple[Path, HeadCard]
"""A head's folder or file, and its card."""


def head_id(spec: dict[str, Any]) -> str:
    return digest(spec)[:12]


def save_head(
    heads: Path, card: HeadCard, tensors: Mapping[str, np.ndarray], step_losses: Sequence[float] = ()
) -> Path:
    """Write a head's folder whole, with the loss of each step if it took any; returns it. One that exists is kept."""
    folder = heads / card.id
    with new_folder(folder) as temporary:
        save_file(_contiguous(tensors), temporary / _WEIGHTS)
        stamped = asdict(card) | {"fitted": card.fitted or datetime.now(UTC).isoformat(timespec="seconds")}
        write_json(temporary / _CARD, stamped)
        if step_losses:
            lines = [f"{k},{loss:.6g}" for k, loss in enumerate(step_losses, 1)]
            (temporary / _LOSSES).write_text("\n".join(["step,loss", *lines, ""]), encoding="utf-8")
    return folder


def read_step_losses(folder: Path) -> np.ndarray | None:
    """(steps,) the loss of each step of a head's fitting; None where they are not kept, or cannot be read."""
    try:
        lines = read_text(folder / _LOSSES).split()
        return np.array([float(line.split(",")[1]) for line in lines[1:]]) if lines[0] == "step,loss" else None
    except (OSError, ValueError, IndexError):
        return None


def write_head(file: Path, card: HeadCard, tensors: Mapping[str, np.ndarray]) -> None:
    """Write a head as one safetensors file that carries its card."""
    content = save(_contiguous(tensors), metadata={_CARD_WITHIN: json.dumps(asdict(card))})
    with new_file(file, "FILE") as temporary:
        temporary.write_bytes(content)


def _contiguous(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.ascontiguousarray(value) for name, value in tensors.items()}


def read_card(path: Path) -> HeadCard | None:
    """The card of a head's folder, or of a safetensors file that carries one; None where there is none."""
    content = read_json(path / _CARD) if path.is_dir() else _card_within(path)
    if not isinstance(content, dict) or not content.keys() <= _FIELDS:
        return None
    try:
        card = _adapter().validate_json(json.dumps(content), strict=True)
        _OfSpec.model_validate(card.spec, strict=True)
        return card if path.is_dir() else replace(card, id=head_id(card.spec))  # which no file from elsewhere chooses
    except ValueError:
        return None


def _card_within(file: Path) -> Any | None:
    try:
        open_file(file).close()
        with safe_open(file, framework="np") as tensors:
            return parse_json((tensors.metadata() or {}).get(_CARD_WITHIN, "null"))
    except (SafetensorError, OSError, ValueError):
        return None


def load_head(path: Path, card: HeadCard) -> Any:
    """The head of a folder, or of a safetensors file. Raises UsageError where its file is missing or damaged."""
    file = path / _WEIGHTS if path.is_dir() else path
    if card.head not in KINDS:
        known = ", ".join(KINDS)
        raise UsageError(f"{file}: a {card.head!r} head is unknown to this version, which has {known}: fit it again")
    trainer = KINDS[card.head].trainer
    try:
        open_file(file).close()
        with safe_open(file, framework="np") as tensors:
            found = {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118
        trainer.refuse(found)
        for name, value in found.items():
            with np.errstate(over="ignore"):
                if value.dtype.kind != "f" or not value.size or not np.isfinite(value.astype(np.float32)).all():
                    raise ValueError(f"{name} is not made of numbers that are finite in float32")
        if KINDS[card.head].learns_from == "teacher" and not any(value.any() for value in found.values()):
            raise ValueError("its weights are all zero")
        return trainer.load(found, card.spec)
    except (SafetensorError, OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise UsageError(
            f"{file}: this {card.head} head cannot be read ({reason(error)}): get the file, or fit the head, again"
        ) from error


def all_heads(heads: Path) -> Iterator[Kept]:
    """The heads of a cache with their cards, alike ones side by side.

    Raises UsageError for one that cannot be read: none is left out.
    """
    found = []
    for folder in heads.glob("[!.]*") if heads.is_dir() else ():
        card = read_card(folder)
        if card is None:
            raise UsageError(f"{folder}: the head cannot be read: remove the folder, and fit the head again")
        found.append((folder, card))
    yield from sorted(found, key=lambda one: (one[1].label, one[1].id))


def find_head(name: str, known: Sequence[Kept]) -> Kept:
    """The head that a user means by a folder, a file, or the beginning of an id. Raises UsageError otherwise."""
    path = Path(name)
    if path.is_file() and path.name == _WEIGHTS and (path.parent / _CARD).is_file():
        path = path.parent
    card = read_card(path)
    if card is not None:
        return path, card
    if path.is_file():
        raise UsageError(
            f"{option('head')} {name}: the file does not say what head it is: run `expclip heads import "
            f"{quoted(name)} --features DATASET`"
        )
    matching = [(folder, card) for folder, card in known if card.id.startswith(name)]
    if len(matching) != 1:
        ids = ", ".join(card.id for _, card in matching or known) or "there is none"
        raise UsageError(
            f"{name!r}: {'several heads have ids that begin so' if matching else 'no such head'} ({ids})"
        )
    return matching[0]
