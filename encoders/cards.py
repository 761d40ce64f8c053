"""What is recorded about the models that come with expclip."""

import json
from pathlib import Path
from typing import Any

from .names import BUILTIN

CARD = "card.json"


def model_card(folder: Path) -> dict[str, Any]:
    """How the models of a folder were made, what they scored, and how heads are fitted with them."""
    return json.loads((folder / CARD).read_text(encoding="utf-8"))


def fitting(teacher: str) -> dict[str, Any]:
    """The learning rate `lr` and the `epochs` that suit heads fitted to a built-in teacher; none for others."""
    return model_card(BUILTIN[teacher])["fit_head"] if teacher in BUILTIN else {}
