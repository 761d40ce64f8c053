"""The card of a head: what it is, and by which digests it is known again."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from typing import Any

import numpy as np
from pydantic import BaseModel, TypeAdapter, ValidationError

from ..cache.files import unseal
from ..cache.keys import digest
from ..untrusted import parse_json

_DETAILS = {
    "fixed": "fixed text",
    "validation": "epoch chosen on held-out clips",
    "test-fold": "epoch chosen on the test fold",
}
ID = re.compile("[0-9a-f]{12}")
"""Of a head, and the name of its folder in a cache."""


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
    weights: str = field(default="", compare=False)
    """`weights_digest` of its tensors; empty in cards of older versions."""
    step_losses: str = field(default="", compare=False)
    """SHA-256 of the file with the loss of each step; empty where there is none, and in cards of older versions."""
    imported: bool = False
    """Whether a file brought it: what its card says then is what was said of it."""
    e_g_protocol: str = ""
    """That of e_G, where it is another than that of the images."""
    original_id: str | None = None
    """The id that it had where it was exported."""

    @property
    def recipe(self) -> str:
        """What is the same for heads that differ only in the seed: 8 digits. An imported head is no fitted one."""
        origin = {"imported": True} if self.imported else {}
        return digest({name: value for name, value in self.spec.items() if name != "seed"} | origin)[:8]

    @property
    def name(self) -> str:
        """Its kind, with shots where some were drawn, and what is unusual of it: results are told apart by it."""
        shots, settings = self.spec.get("shots"), self.spec.get("settings") or {}
        details = [_DETAILS[one] for one in (settings.get("text"), settings.get("select")) if one in _DETAILS]
        name = f"{shots}-shot {self.head}" if shots else self.head
        return f"{name} ({', '.join(details)})" if details else name

    @property
    def label(self) -> str:
        objective = "" if self.objective == "infonce" else f", {self.objective}"
        seed = "" if self.seed is None else f" · seed {self.seed}"
        instruction = f" · {self.instruction}" if self.instruction else ""
        return f"{self.name}{objective}{instruction}{seed}"

    def shown(self) -> dict[str, Any]:
        """What a document says of it: all but the digests of its files, and where it came from if it did."""
        hidden = {"weights", "step_losses"} | (set() if self.imported else {"imported", "original_id"})
        hidden |= set() if self.e_g_protocol else {"e_g_protocol"}
        return {name: value for name, value in asdict(self).items() if name not in hidden}


class _OfFolds(BaseModel, defer_build=True):
    """What a spec says of the folds that a head from labels learnt for."""

    numbers: list[int]
    digest: str


class _OfSettings(BaseModel, defer_build=True):
    """What a spec says of how a head from labels was fitted."""

    text: str | None = None
    contexts: dict[str, Any] | None = None
    sampler: str | None = None
    select: str | None = None


class _OfSpec(BaseModel, defer_build=True):
    """What is read of a spec besides its digest."""

    llm: str | None = None
    form: str | None = None
    classes: list[str] | None = None
    optimiser: dict[str, Any] | None = None
    folds: "_OfFolds | None" = None
    shots: int | None = None
    settings: "_OfSettings | None" = None


@cache
def _adapter() -> TypeAdapter[HeadCard]:
    return TypeAdapter(HeadCard)


_FIELDS = {one.name for one in fields(HeadCard)}


def head_id(spec: dict[str, Any]) -> str:
    return digest(spec)[:12]


def weights_digest(tensors: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over the names, types, shapes and values of tensors, however a file arranges them."""
    sha = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        sha.update(json.dumps([name, value.dtype.str, value.shape]).encode())
        sha.update(np.ascontiguousarray(value).data)
    return sha.hexdigest()


def id_of(card: HeadCard) -> str:
    """The id that a card must have."""
    return _imported_id(card.weights, card.spec) if card.imported else head_id(card.spec)


def as_imported(card: HeadCard, tensors: Mapping[str, np.ndarray]) -> HeadCard:
    """The card of a head that a file brings, whose id no claim of the file chooses but with its weights."""
    weights = weights_digest(tensors)
    return replace(card, id=_imported_id(weights, card.spec), weights=weights, imported=True, step_losses="")


def _imported_id(weights: str, spec: dict[str, Any]) -> str:
    return digest({"imported": weights, "spec": spec})[:12]


def parsed_card(text: str) -> HeadCard:
    """A card from JSON. Raises ValueError where it is none, or changed since it was written."""
    try:
        content = parse_json(text)
    except ValueError as error:
        raise ValueError(f"its card is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError("its card is none")
    try:
        plain = unseal(content)
        if not plain.keys() <= _FIELDS:
            raise ValueError("its card has fields that this version does not know")
        card = _adapter().validate_json(json.dumps(plain), strict=True)
        _OfSpec.model_validate(card.spec, strict=True)
    except (ValidationError, RecursionError):
        raise ValueError("its card has values of other types, or lacks some") from None
    return card


def refuse_changed(card: HeadCard, tensors: Mapping[str, np.ndarray]) -> None:
    """Raise ValueError for other tensors than a card was written for. Older cards do not say."""
    if card.weights and weights_digest(tensors) != card.weights:
        raise ValueError("its weights changed since they were written: their digest is another one")
