"""What a tokenizer's file may ask of a text: no more than takes no time and no memory, and nothing by chance."""

import base64
import binascii
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .configuration import read_object, require_vocabulary

_MOST_STEPS = 64
_MOST_GROWTH = 10_000
"""How many times as long a text may become, were each letter the worst: with XLNet's steps 7,776 times."""
_GROWTH = {"NFC": 3, "NFD": 4, "NFKC": 18, "NFKD": 18, "Lowercase": 2, "BertNormalizer": 12, "ByteLevel": 4}
"""How many letters these kinds of steps make of one; those that are not here make one of it, or say of how many."""
_LONGEST_PATTERN = 4000
_SECTIONS = ("normalizer", "pre_tokenizer", "post_processor", "decoder")
"""The last makes texts of tokens, which is never asked for."""


def refuse_endless_steps(path: Path) -> None:
    """Raise UsageError for a `tokenizer.json` whose steps never end, or make a text thousands of times as long.

    A few steps that double each letter make gigabytes of a prompt. One that leaves out merges by chance, as some do
    for training, is refused too: each text would have other tokens every time.
    """
    require_vocabulary(path)
    content = read_object(path)
    model = content.get("model")
    if isinstance(model, dict) and model.get("dropout"):
        raise UsageError(f"{path}: it drops merges by chance (`dropout` of its model): set that to null")
    by_section = {name: list(_steps(content.get(name))) for name in _SECTIONS}
    steps = [step for some in by_section.values() for step in some]
    if len(steps) > _MOST_STEPS:
        raise UsageError(f"{path}: it changes a text in {len(steps):,} steps, and up to {_MOST_STEPS} are tried")
    if math.prod(_growth(step) for name in _SECTIONS[:-1] for step in by_section[name]) > _MOST_GROWTH:
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
        case _, _ if isinstance(step.get("single"), list):
            return _pieces(step)
    for name in ("prepend", "replacement"):
        if isinstance(step.get(name), str):
            return len(step[name]) + 1.0
    if isinstance(table := step.get("precompiled_charsmap"), str):
        return _longest_spelling(table)
    return float(_GROWTH.get(str(step.get("type")), 1))


def _pieces(template: dict[str, Any]) -> float:
    """How many times a template has the text, and how many tokens it puts beside it."""
    special = template.get("special_tokens")
    known = special if isinstance(special, dict) else {}

    def tokens(piece: Any) -> int:
        named = piece.get("SpecialToken") if isinstance(piece, dict) else None
        token = known.get(str(named.get("id"))) if isinstance(named, dict) else None
        ids = token.get("ids") if isinstance(token, dict) else None
        return len(ids) if isinstance(ids, list) else 1

    return float(max(1, sum(map(tokens, template["single"]))))


def _longest_spelling(table: str) -> float:
    """Letters of the longest text that a table of SentencePiece has for a letter; texts end with a zero byte."""
    try:
        raw = base64.b64decode(table)
    except (binascii.Error, ValueError):  # the library will not read it either
        return 1.0
    texts = raw[4 + int.from_bytes(raw[:4], "little") :].split(b"\0")
    return float(max(1, *(len(text.decode(errors="replace")) for text in texts)))


def _pattern(step: dict[str, Any]) -> str:
    pattern = step.get("pattern")
    found = pattern.get("Regex") if isinstance(pattern, dict) else None
    return found if isinstance(found, str) else ""
