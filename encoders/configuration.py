"""What strangers write about their models: read within bounds, and checked key by key before anything is built.

A table names the keys that are allowed, each with a Rule. Whatever a table does not name is refused where it would
change what is built; where a reader takes only some keys, the others are never passed on.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ExpclipError, UsageError, brief, one_of, reason
from ..untrusted import parse_json, read_text

_LARGEST_VOCABULARY = 256 << 20
"""Bytes of one file of a tokenizer: those of 250,000 words have a tenth."""
MOST_LAYERS, MOST_WIDTH, MOST_TOKENS = 256, 1 << 16, 1 << 21
"""Several times what the largest models have; what a product of these may still take is bounded by the weights."""
MOST_PIXELS = 1024
"""Of one side of a picture that a model takes."""
_MOST_PATCHES = 128
"""Along one side: attention takes memory by the fourth power of it."""


@dataclass(frozen=True)
class Rule:
    """What a value must be."""

    says: str
    holds: Callable[[Any], bool]

    def __or__(self, other: "Rule") -> "Rule":
        return Rule(f"{self.says} or {other.says}", lambda value: self.holds(value) or other.holds(value))


NOTHING = Rule("null", lambda value: value is None)
FLAG = Rule("true or false", lambda value: type(value) is bool)
TEXT = Rule("a text", lambda value: type(value) is str and len(value) <= 1000)


def whole(least: int, most: int) -> Rule:
    """A whole number within bounds."""
    return Rule(
        f"a whole number from {least:,} to {most:,}", lambda value: type(value) is int and least <= value <= most
    )


def number(least: float, most: float) -> Rule:
    """A finite number within bounds."""
    return Rule(
        f"a number from {least:g} to {most:g}",
        lambda value: type(value) in (int, float) and math.isfinite(value) and least <= value <= most,
    )


def word(*choices: str) -> Rule:
    """One of some words."""
    return Rule(one_of(map(repr, choices)), lambda value: type(value) is str and value in choices)


def several(one: Rule, lengths: Collection[int]) -> Rule:
    """A list of values of one kind."""
    return Rule(
        f"a list of {one_of(lengths)} of them",
        lambda value: isinstance(value, list | tuple) and len(value) in lengths and all(map(one.holds, value)),
    )


def section(table: Mapping[str, Rule]) -> Rule:
    """A mapping with no keys but those of a table."""
    return Rule(
        f"a mapping of {one_of(table)}",
        lambda value: (
            isinstance(value, dict)
            and value.keys() <= table.keys()
            and all(table[key].holds(one) for key, one in value.items())
        ),
    )


SIZE = whole(1, MOST_WIDTH)
LAYERS = whole(1, MOST_LAYERS)
PIXELS = whole(1, MOST_PIXELS)
EPSILON = number(0, 1)


def checked(config: Any, table: Mapping[str, Rule], what: str, ignore_others: bool = False) -> dict[str, Any]:
    """The keys of a table that a configuration has, verbatim. Raises UsageError where one is not what it must be.

    `ignore_others`: keys that the table does not name are left out. Otherwise they are refused.
    """
    if not isinstance(config, dict):
        raise UsageError(f"{what} cannot be used (it is {brief(config)}; it must be a mapping)")
    for key, value in config.items():
        if key not in table:
            if ignore_others:
                continue
            raise UsageError(f"{what} cannot be used ({brief(key)} is no key that is known)")
        if not table[key].holds(value):
            raise UsageError(f"{what} cannot be used ({key} is {brief(value)}; it must be {table[key].says})")
    return {key: value for key, value in config.items() if key in table}


def require_patches(pixels: int, patch: int, what: str) -> None:
    """A picture must have a patch, and not so many that looking at one takes the memory of the machine."""
    if not 1 <= pixels // patch <= _MOST_PATCHES:
        sizes = f"image_size is {pixels} and a patch {patch} pixels"
        raise UsageError(f"{what} cannot be used ({sizes}; there must be 1 to {_MOST_PATCHES} patches along a side)")


def read_object(path: Path) -> dict[str, Any]:
    """The content of a JSON file. Raises ExpclipError where it is not a JSON object, or is no honest one.

    Constants that JSON does not have, keys that stand twice, numbers of thousands of digits, nesting without end and
    files of a size that no configuration has are refused.
    """
    try:
        content = parse_json(read_text(path), object_pairs_hook=_once)
    except (OSError, ValueError) as error:
        raise ExpclipError(f"{path}: not JSON ({reason(error)}): download it again") from error
    if not isinstance(content, dict):
        raise ExpclipError(f"{path}: not a JSON object: download it again")
    return content


def require_vocabulary(path: Path) -> None:
    """Raise UsageError for a tokenizer's file of a size that none has."""
    size = path.stat().st_size
    if size > _LARGEST_VOCABULARY:
        raise UsageError(f"{path}: {size:,} bytes are too many for a tokenizer: download it again")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        ((key, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"{brief(key)} stands twice")
    return content


_HUB_WORD = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?"
_HUB_NAME = re.compile(rf"(?!.*(?:--|\.\.|\.git\Z)){_HUB_WORD}(?:/{_HUB_WORD})?")
"""As the hub's own client takes them."""
HUB_NAME = Rule(
    "OWNER/REPOSITORY on the hub", lambda value: type(value) is str and _HUB_NAME.fullmatch(value) is not None
)


@contextmanager
def in_one_line(kind: type[ExpclipError], what: str) -> Iterator[None]:
    """Say in one line whatever a library raises over what a stranger wrote; some of it is not even an Exception."""
    try:
        yield
    except (ExpclipError, MemoryError):
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":  # of tokenizers
            raise
        raise kind(f"{what} ({reason(error)})") from error
