"""Heads on disk: a safetensors file and what is known of it, beside it in a JSON file or within it."""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save, save_file

from ..aside import beside, remove
from ..cache.files import flush, fsync, new_folder, seal, unseal, write_json, writing
from ..cache.keys import digest
from ..errors import UsageError, reason
from ..untrusted import parse_json, read_bytes, read_text
from .kinds import KINDS

SUFFIXES = (".pth", ".safetensors")
"""Of files that heads are exported to."""
WEIGHTS = "head.safetensors"
CARD = "head.json"
_LOSSES = "losses.csv"
_CARD_WITHIN = "expclip"
"""Key of the card among the metadata of a file that was exported."""
_MOST_BYTES = 4 << 30
"""Of a file of weights, which is read whole: what was checked is what is used."""
_ID = re.compile("[0-9a-f]{12}")
_UNUSABLE = (OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError)
"""What reading a head raises that is damaged, or none; networks are made by torch, which has errors of its own."""


@dataclass(frozen=True)
class HeadCard:
    """What a head is and what it was trained from."""

    id: str
    """The first 12 digits of the digest of `spec`; of an imported head, of its weights and `spec`."""
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
    rows; for one that was imported, what was said of it."""
    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0
    fitted: str = ""
    weights: str = ""
    """`weights_digest` of its tensors; empty in cards of older versions."""
    step_losses: str = ""
    """SHA-256 of the file with the loss of each step; empty where there is none, and in cards of older versions."""
    imported: bool = False
    """Whether a file brought it: what its card says then is what was said of it."""
    original_id: str | None = None
    """The id that it had where it was exported."""

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

    def shown(self) -> dict[str, Any]:
        """What a document says of it: all but the digests of its files, and where it came from if it did."""
        hidden = {"weights", "step_losses"} | (set() if self.imported else {"imported", "original_id"})
        return {name: value for name, value in asdict(self).items() if name not in hidden}


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


def weights_digest(tensors: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over the names, types, shapes and values of tensors, however a file arranges them."""
    sha = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        sha.update(json.dumps([name, value.dtype.str, value.shape]).encode())
        sha.update(np.ascontiguousarray(value).data)
    return sha.hexdigest()


def as_imported(card: HeadCard, tensors: Mapping[str, np.ndarray]) -> HeadCard:
    """The card of a head that a file brings, whose id no claim of the file chooses but with its weights."""
    weights = weights_digest(tensors)
    return replace(card, id=_imported_id(weights, card.spec), weights=weights, imported=True, step_losses="")


def _imported_id(weights: str, spec: dict[str, Any]) -> str:
    return digest({"imported": weights, "spec": spec})[:12]


# Writing


def save_head(
    heads: Path, card: HeadCard, tensors: Mapping[str, np.ndarray], step_losses: Sequence[float] = ()
) -> Path:
    """Write a head's folder whole, with the loss of each step if it took any; returns it.

    One that exists is kept if it can be used, and replaced otherwise.
    """
    folder = heads / card.id
    if os.path.lexists(folder) and problem_of(folder):
        discard(folder)
    lines = [f"{k},{loss:.6g}" for k, loss in enumerate(step_losses, 1)]
    curve = "\n".join(["step,loss", *lines, ""]).encode() if lines else b""
    with new_folder(folder) as temporary:
        (temporary / WEIGHTS).write_bytes(save(_contiguous(tensors)))  # save_file would hide it from other users
        if curve:
            (temporary / _LOSSES).write_bytes(curve)
        flush(temporary)
        write_json(temporary / CARD, seal(asdict(_stamped(card, tensors, curve))))
    return folder


def _stamped(card: HeadCard, tensors: Mapping[str, np.ndarray], curve: bytes) -> HeadCard:
    return replace(
        card,
        fitted=card.fitted or datetime.now(UTC).isoformat(timespec="seconds"),
        weights=weights_digest(tensors),
        step_losses=hashlib.sha256(curve).hexdigest() if curve else "",
    )


def write_head(file: Path, card: HeadCard, tensors: Mapping[str, np.ndarray]) -> None:
    """Write a head as one safetensors file that carries its card."""
    content = seal(asdict(replace(card, weights=weights_digest(tensors))))
    save_file(_contiguous(tensors), file, metadata={_CARD_WITHIN: json.dumps(content)})


def _contiguous(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.ascontiguousarray(value) for name, value in tensors.items()}


def discard(folder: Path) -> None:
    """Remove a head's folder; nobody sees a part of it."""
    aside = beside(folder)
    with writing(folder), suppress(FileNotFoundError):  # another process was faster
        folder.rename(aside)
        fsync(folder.parent)
    remove([aside])


# Reading


def read_step_losses(folder: Path) -> np.ndarray | None:
    """(steps,) the loss of each step of a head's fitting; None where they are not kept.

    Raises UsageError where they changed since they were written.
    """
    card, file = read_card(folder), folder / _LOSSES
    if card is None:
        return None
    try:
        content = read_bytes(file)
        if card.step_losses and hashlib.sha256(content).hexdigest() != card.step_losses:
            raise UsageError(f"{file}: it changed since it was written: remove the head, and fit it again")
        lines = content.decode().split()
        return np.array([float(line.split(",")[1]) for line in lines[1:]]) if lines[0] == "step,loss" else None
    except (OSError, ValueError, IndexError):
        return None


def read_card(path: Path) -> HeadCard | None:
    """The card of a head's folder, or of a safetensors file that carries one; None where there is none, or damage."""
    try:
        return known_card(path)
    except (OSError, ValueError):
        return None


def known_card(path: Path) -> HeadCard | None:
    """The card of a head's folder, or of a safetensors file that carries one; None where there is none.

    That of a file is the card it has when it is imported. Raises ValueError or OSError where it cannot be used.
    """
    if path.is_dir():
        if not is_head_folder(path):
            return None
        card = _parsed(read_text(path / CARD))
        if card.id != (_imported_id(card.weights, card.spec) if card.imported else head_id(card.spec)):
            raise ValueError("its id is not the digest of what its card says")
        return card
    if not path.exists():
        return None
    raw = read_bytes(path, _MOST_BYTES)
    try:
        said = _metadata(raw).get(_CARD_WITHIN)
    except ValueError:
        if path.suffix == ".safetensors":
            raise
        return None
    if said is None:
        return None
    tensors = _tensors(raw)
    card = _parsed(said)
    _refuse_changed(card, tensors)
    original = card.original_id or card.id
    return replace(as_imported(card, tensors), original_id=original if _ID.fullmatch(original) else None)


def is_head_folder(path: Path) -> bool:
    """Whether a folder can only be a head's, whole or not: by its name, or by what is in it."""
    return path.is_dir() and (
        _ID.fullmatch(path.name) is not None or any(os.path.lexists(path / name) for name in (CARD, WEIGHTS))
    )


def _parsed(text: str) -> HeadCard:
    """A card from JSON. Raises ValueError where it is none, or changed since it was written."""
    try:
        content = parse_json(text)
    except ValueError as error:
        raise ValueError(f"its card is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError("its card is none")
    plain = unseal(content)
    if not plain.keys() <= _FIELDS:
        raise ValueError("its card has fields that this version does not know")
    try:
        card = _adapter().validate_json(json.dumps(plain), strict=True)
        _OfSpec.model_validate(card.spec, strict=True)
    except (ValidationError, RecursionError):
        raise ValueError("its card has values of other types, or lacks some") from None
    return card


def _metadata(raw: bytes) -> dict[str, Any]:
    """What the content of a safetensors file says beside its tensors. Raises ValueError where it is none."""
    try:
        header = parse_json(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    except ValueError as error:
        raise ValueError("it is no safetensors file") from error
    found = header.get("__metadata__") if isinstance(header, dict) else None
    return found if isinstance(found, dict) else {}


def _tensors(raw: bytes) -> dict[str, np.ndarray]:
    """The tensors of the content of a safetensors file. Raises ValueError where it is none."""
    try:
        return load(raw)
    except (SafetensorError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(reason(error)) from error


def _refuse_changed(card: HeadCard, tensors: Mapping[str, np.ndarray]) -> None:
    """Raise ValueError for other tensors than a card was written for. Older cards do not say."""
    if card.weights and weights_digest(tensors) != card.weights:
        raise ValueError("its weights changed since they were written: their digest is another one")


def load_head(path: Path, card: HeadCard) -> Any:
    """The head of a folder, or of a safetensors file. Raises UsageError where its file is missing or damaged."""
    file = path / WEIGHTS if path.is_dir() else path
    if card.head not in KINDS:
        known = ", ".join(KINDS)
        raise UsageError(f"{file}: a {card.head!r} head is unknown to this version, which has {known}: fit it again")
    try:
        return _loaded(file, card)
    except _UNUSABLE as error:
        raise UsageError(
            f"{file}: this {card.head} head cannot be read ({reason(error)}): get the file, or fit the head, again"
        ) from error


def _loaded(file: Path, card: HeadCard) -> Any:
    """The head of a file of weights. Raises one of `_UNUSABLE` where they are not those of its card."""
    kind = KINDS[card.head]
    found = _tensors(read_bytes(file, _MOST_BYTES))
    _refuse_changed(card, found)
    kind.trainer.refuse(found)
    for name, value in found.items():
        with np.errstate(over="ignore"):
            if value.dtype.kind != "f" or not value.size or not np.isfinite(value.astype(np.float32)).all():
                raise ValueError(f"{name} is not made of numbers that are finite in float32")
    if kind.learns_from == "teacher" and not any(value.any() for value in found.values()):
        raise ValueError("its weights are all zero")
    return kind.trainer.load(found, card.spec)


def card_in_cache(folder: Path) -> HeadCard:
    """The card of a head of a cache. Raises ValueError or OSError where it cannot be used; weights are not read."""
    card = known_card(folder)
    if card is None:
        raise ValueError("it is no folder of a head")
    if card.id != folder.name:
        raise ValueError(f"it is the head {card.id}, under another name")
    if not (folder / WEIGHTS).stat().st_size:
        raise ValueError(f"its {WEIGHTS} is empty")
    return card


def problem_of(folder: Path) -> str:
    """Why a head of a cache does not load; empty where it does."""
    try:
        _loaded(folder / WEIGHTS, card_in_cache(folder))
    except _UNUSABLE as error:
        return reason(error)
    return ""
