"""What is on record of the models that come with expclip."""

import json
from pathlib import Path
from typing import Any

from .names import BUILTIN

_CARD = "card.json"


def read_card(folder: Path) -> dict[str, Any]:
    """How the models of a folder were made, what they scored, and how heads are fitted with them."""
    return json.loads((folder / _CARD).read_text(encoding="utf-8"))


def learning_rate(teacher: str) -> float | None:
    """The learning rate that suits heads fitted to a built-in teacher; None for other teachers."""
    return read_card(BUILTIN[teacher])["fit_head"]["lr"] if teacher in BUILTIN else None
