"""Heads on disk: a safetensors file and what is known of it, beside it in a JSON file or within it."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ..cache.files import discard, flush, new_file, new_folder, seal, write_json
from ..errors import UsageError, reason
from ..scoring.by_fold import ByFold, parts_by_fold
from ..untrusted import parse_json, read_bytes, read_text
from .card import ID, HeadCard, as_imported, id_of, parsed_card, refuse_changed, weights_digest
from .card import head_id as head_id
from .kinds import KINDS

SUFFIXES = (".pth", ".safetensors")
"""Of files that heads are exported to."""
WEIGHTS = "head.safetensors"
CARD = "head.json"
_LOSSES = "losses.csv"
FILES = {WEIGHTS, CARD, _LOSSES}
"""Of a head's folder."""
_CARD_WITHIN = "expclip"
"""Key of the card among the metadata of a file that was exported."""
_MOST_BYTES = 4 << 30
"""Of a file of weights, which is read whole: what was checked is what is used."""
_UNUSABLE = (OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError)
"""What reading a head raises that is damaged, or none; networks are made by torch, which has errors of its own."""


Kept = tuple[Path, HeadCard]
"""A head's folder or file, and its card."""


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
    said = seal(asdict(replace(card, weights=weights_digest(tensors))))
    content = save(_contiguous(tensors), metadata={_CARD_WITHIN: json.dumps(said)})
    with new_file(file, "FILE") as temporary:
        temporary.write_bytes(content)


def _contiguous(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.ascontiguousarray(value) for name, value in tensors.items()}


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
        card = parsed_card(read_text(path / CARD))
        if card.id != id_of(card):
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
    card = parsed_card(said)
    refuse_changed(card, tensors)
    original = card.original_id or card.id
    return replace(as_imported(card, tensors), original_id=original if ID.fullmatch(original) else None)


def is_head_folder(path: Path) -> bool:
    """Whether a folder can only be a head's, whole or not: by its name, or by what is in it."""
    return path.is_dir() and (
        ID.fullmatch(path.name) is not None or any(os.path.lexists(path / name) for name in (CARD, WEIGHTS))
    )


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
    refuse_changed(card, found)
    folds = card.spec.get("folds") if kind.learns_from == "labels" else None
    parts = parts_by_fold(found, folds["numbers"]) if folds else {0: found}
    for part in parts.values():
        kind.trainer.refuse(part)
    for name, value in found.items():
        with np.errstate(over="ignore"):
            if value.dtype.kind != "f" or not value.size or not np.isfinite(value.astype(np.float32)).all():
                raise ValueError(f"{name} is not made of numbers that are finite in float32")
    if kind.learns_from == "teacher" and not any(value.any() for value in found.values()):
        raise ValueError("its weights are all zero")
    heads = {fold: kind.trainer.load(part, card.spec) for fold, part in parts.items()}
    return ByFold(heads) if folds else heads[0]


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
    """Why a head of a cache does not load; empty where it does.

    Raises UsageError for one that may not be read: it is somebody's, and perhaps whole.
    """
    try:
        _loaded(folder / WEIGHTS, card_in_cache(folder))
    except PermissionError as error:
        raise UsageError(
            f"{folder}: this head may not be read ({reason(error)}): ask its owner to permit it, or remove it"
        ) from error
    except _UNUSABLE as error:
        return reason(error)
    return ""
