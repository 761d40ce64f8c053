"""Heads on disk: a safetensors file and a JSON file that says where it comes from."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ..cache.files import new_folder, read_json, write_json
from ..cache.keys import digest
from ..errors import UsageError
from .linear import LinearHead

_WEIGHTS = "head.safetensors"
_CARD = "head.json"


@dataclass(frozen=True)
class HeadCard:
    """What a head is and what it was trained from."""

    id: str
    """First 12 digits of the digest of `spec`."""
    head: str
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
    seed: int
    untrained: bool
    """Whether an encoder behind it has random weights."""
    spec: dict[str, Any]
    """Everything that determines the head: kind, objective, optimiser, seed, the two stores' keys, failed rows."""
    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0
    fitted: str = ""

    @property
    def recipe(self) -> str:
        """What is the same for heads that differ only in the seed: 8 digits."""
        return digest({name: value for name, value in self.spec.items() if name != "seed"})[:8]

    @property
    def label(self) -> str:
        return f"{self.head} · {self.instruction} · seed {self.seed}"


def head_id(spec: dict[str, Any]) -> str:
    return digest(spec)[:12]


def save_head(heads: Path, card: HeadCard, weight: np.ndarray) -> Path:
    """Write a head's folder whole; returns it. An existing one is kept."""
    folder = heads / card.id
    with new_folder(folder) as temporary:
        save_file({"weight": weight}, temporary / _WEIGHTS)
        stamped = asdict(card) | {"fitted": datetime.now(UTC).isoformat(timespec="seconds")}
        write_json(temporary / _CARD, stamped)
    return folder


def read_card(folder: Path) -> HeadCard | None:
    """The card of a head's folder, or None where there is none."""
    content = read_json(folder / _CARD)
    try:
        return HeadCard(**content) if isinstance(content, dict) else None
    except TypeError:
        return None


def load_head(folder: Path) -> LinearHead:
    """The head of a folder. Raises UsageError where its file is missing or damaged."""
    try:
        with safe_open(folder / _WEIGHTS, framework="np") as tensors:
            return LinearHead.from_weight(tensors.get_tensor("weight"))
    except (SafetensorError, OSError) as error:
        raise UsageError(f"{folder / _WEIGHTS}: the head cannot be read ({error}): fit it again") from error


def all_heads(heads: Path) -> Iterator[tuple[Path, HeadCard]]:
    """The heads of a cache with their cards, alike ones side by side.

    Raises UsageError for one that cannot be read: none is left out.
    """
    found = []
    for folder in heads.glob("[!.]*") if heads.is_dir() else ():
        card = read_card(folder)
        if card is None:
            raise UsageError(f"{folder}: this is no head that can be read: remove the folder, and fit the head again")
        found.append((folder, card))
    yield from sorted(found, key=lambda one: (one[1].label, one[1].id))


def find_head(name: str, known: Sequence[tuple[Path, HeadCard]]) -> tuple[Path, HeadCard]:
    """The head that a user means by a folder, its file, or the beginning of an id. Raises UsageError otherwise."""
    path = Path(name)
    folder = path.parent if path.is_file() else path
    card = read_card(folder)
    if card is not None:
        return folder, card
    matching = [(folder, card) for folder, card in known if card.id.startswith(name)]
    if len(matching) != 1:
        ids = ", ".join(card.id for _, card in known) or "there is none"
        raise UsageError(f"--head {name!r}: {'several' if matching else 'no'} heads are called so ({ids})")
    return matching[0]
