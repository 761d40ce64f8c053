"""What a converted file of weights says of itself, in the metadata of its safetensors."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from ..untrusted import parse_json

_KEY = "expclip"
"""One key, so that the same weights give the same bytes: safetensors writes several in any order."""
_ACTIVATIONS = {"yes": True, "no": False}
_LONGEST = 10_000


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


def card_of(path: Path) -> WeightsCard | None:
    """The card of a file; None where it has none, or is no safetensors file."""
    if path.suffix != ".safetensors":
        return None
    try:
        with safe_open(path, framework="np") as tensors:
            said = (tensors.metadata() or {}).get(_KEY, "")
        card = WeightsCard(**parse_json(said)) if len(said) <= _LONGEST else None
    except (SafetensorError, OSError, ValueError, TypeError):
        return None
    return card if card and all(isinstance(one, str) for one in asdict(card).values()) else None


def trained_with_quick_gelu(path: Path) -> bool | None:
    """What the card of a file says of it; None where nothing does."""
    card = card_of(path)
    return card.activation if card else None
