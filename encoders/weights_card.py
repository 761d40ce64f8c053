"""What a converted file of weights says of itself, in the metadata of its safetensors."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from ..untrusted import parse_json

_KEY = "expclip"
"""One key, so that the same weights give the same bytes: safetensors writes several in any order."""
_ACTIVATIONS = {"yes": True, "no": False}
_LONGEST, _LONGEST_OF_CLASSIFIER = 10_000, 1_000_000
_KEY_OF_CLASSIFIER = "expclip-classifier"


@dataclass(frozen=True)
class WeightsCard:
    """Where converted weights come from."""

    source: str
    """The name of the file that was converted."""
    source_sha256: str
    system: str
    quick_gelu: str
    """Whether they were trained with QuickGELU: yes, no or unknown."""
    expclip: str
    """The version that converted them."""

    @property
    def activation(self) -> bool | None:
        """Whether the weights need QuickGELU; None where that is not known."""
        return _ACTIVATIONS.get(self.quick_gelu)

    @property
    def metadata(self) -> dict[str, str]:
        return {_KEY: json.dumps(asdict(self))}


@dataclass(frozen=True)
class ClassifierCard:
    """Where a converted classifier comes from, and which CLIP it stands behind."""

    source: str
    """The name of the file that was converted."""
    source_sha256: str
    system: str
    clip_sha256: str
    """Of the file of its CLIP, which was written with it."""
    expclip: str
    """The version that converted it."""
    classes: tuple[str, ...]
    prompts: tuple[str, ...]
    """What the prompt of each class reads, but for the vectors that were learnt."""

    @property
    def metadata(self) -> dict[str, str]:
        return {_KEY_OF_CLASSIFIER: json.dumps(asdict(self))}


def card_of(path: Path) -> WeightsCard | None:
    """The card of a file; None where it has none, or is no safetensors file."""
    try:
        card = WeightsCard(**_said(path, _KEY, _LONGEST))
    except (ValueError, TypeError):
        return None
    return card if all(isinstance(one, str) for one in asdict(card).values()) else None


def classifier_card_of(path: Path) -> ClassifierCard | None:
    """The card of a file that a classifier was converted to; None where it has none, or is no safetensors file."""
    try:
        said = _said(path, _KEY_OF_CLASSIFIER, _LONGEST_OF_CLASSIFIER)
        classes, prompts = (tuple(said.pop(name)) for name in ("classes", "prompts"))
        card = ClassifierCard(**said, classes=classes, prompts=prompts)
    except (ValueError, TypeError, LookupError):
        return None
    are_texts = all(isinstance(one, str) for one in (*said.values(), *classes, *prompts))
    return card if are_texts and len(set(classes)) == len(prompts) > 0 else None


def _said(path: Path, key: str, longest: int) -> dict[str, Any]:
    """What a safetensors file says under a key of its metadata. Raises ValueError where that is nothing."""
    if path.suffix != ".safetensors":
        raise ValueError("it is no safetensors file")
    try:
        with safe_open(path, framework="np") as tensors:
            said = (tensors.metadata() or {}).get(key, "")
    except (SafetensorError, OSError) as error:
        raise ValueError(str(error)) from error
    found = parse_json(said) if len(said) <= longest else None
    if not isinstance(found, dict):
        raise ValueError("it says nothing")
    return found


def trained_with_quick_gelu(path: Path) -> bool | None:
    """What the card of a file says of it; None where nothing does."""
    card = card_of(path)
    return card.activation if card else None
