"""What a tokenizer's file may ask of a text: no more than takes no time and no memory."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .configuration import read_object, require_vocabulary

_MOST_STEPS = 64
_MOST_GROWTH = 1000
"""How many times as long a text may become: the spellings that compatibility normalisation knows grow it 18-fold."""
_LONGEST_PATTERN = 4000
_SECTIONS = ("normalizer", "pre_tokenizer", "post_processor", "decoder")


def refuse_endless_steps(path: Path) -> None:
    """Raise UsageError for a `tokenizer.json` whose steps never end, or make a text thousands of times as long.

    A few steps that double each letter make gigabytes of a prompt.
    """
    require_vocabulary(path)
    content = read_object(path)
    steps = [step for name in _SECTIONS for step in _steps(content.get(name))]
    if len(steps) > _MOST_STEPS:
        raise UsageError(f"{path}: it changes a text in {len(steps):,} steps, and up to {_MOST_STEPS} are tried")
    if math.prod(map(_growth, steps)) > _MOST_GROWTH:
        raise UsageError(
            f"{path}: its steps make a text more than {_MOST_GROWTH:,} times as long: use another tokenizer"
        )
    if any(len(_pattern(step)) > _LONGEST_PATTERN for step in steps):
        raise UsageError(
            f"{path}: one of its patterns is longer than {_LONGEST_PATTERN:,} letters: use another tokenizer"
        )


def _steps(section: Any) -> Iterator[dict[str, Any]]:
    """A section's steps, those within sequences too."""
    waiting = [section]
    while waiting:
        match waiting.pop():
            case list() as several:
                waiting += several
            case dict() as step:
                yield step
                waiting += [inner for inner in step.values() if isinstance(inner, list)]


def _growth(step: dict[str, Any]) -> float:
    """How many times as long a step may make a text, which has a letter or more."""
    match step.get("content"), step.get("pattern"):
        case str(content), {"String": str(literal)} if literal:
            return max(1.0, len(content) / len(literal))
        case str(content), dict():
            return len(content) + 1.0  # an expression may match between all letters
    for name in ("prepend", "replacement"):
        if isinstance(step.get(name), str):
            return len(step[name]) + 1.0
    return 1.0


def _pattern(step: dict[str, Any]) -> str:
    pattern = step.get("pattern")
    found = pattern.get("Regex") if isinstance(pattern, dict) else None
    return found if isinstance(found, str) else ""
