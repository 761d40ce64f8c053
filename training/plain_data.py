"""Plain data: the words of captions, descriptions and the card, and the configurations of the models."""

import tomllib
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
WORDS: dict[str, Any] = tomllib.loads((_HERE / "words.toml").read_text(encoding="utf-8"))
MODELS: dict[str, Any] = tomllib.loads((_HERE / "models.toml").read_text(encoding="utf-8"))
