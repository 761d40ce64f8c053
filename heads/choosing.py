"""Which heads a user means: none, a file, what their cards say, or the beginning of an id."""

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..encoders.families import family_of
from ..errors import UsageError, one_of, option, quoted
from ..manifests.prompts import instruction_name, without_title
from .kept import DamagedHead, beginning, find_head
from .kinds import KINDS
from .objectives import OBJECTIVES
from .saving import HeadCard, Kept, is_head_folder

NO_HEAD = "none"
"""What stands for plain CLIP among heads."""

_FEWEST_DIGITS = 8
"""Of a number that is rather the beginning of an id than a seed."""
_MOST_DIGITS = 20
"""Of a seed."""
_FILE_MARKS = ("/", "\\", ".pth", ".safetensors")


@dataclass(frozen=True)
class Field:
    """What a card says of a head, and what a user may write for it."""

    of: Callable[[HeadCard], object]
    meant: Callable[[str], str] = str
    """What a value that was typed is called in cards. Raises UsageError where it is nothing."""
    known: Callable[[str], bool] = lambda text: False
    """Whether a text is such a value, even if no card has it."""

    def value(self, card: HeadCard) -> str:
        """What a card says, as it is typed."""
        said = self.of(card)
        return NO_HEAD if said in (None, "") else str(said)

    def has(self, card: HeadCard, text: str) -> bool:
        """Whether a card says what was typed."""
        return self._meaning(self.value(card)) == self._meaning(text)

    def _meaning(self, text: str) -> str:
        try:
            return without_title(self.meant(text))
        except UsageError:  # what an older version, or another machine, has a name for
            return text


def _teacher(text: str) -> str:
    return family_of("teacher", text).name(text).canonical


def _is_instruction(text: str) -> bool:
    try:
        return bool(instruction_name(text))
    except UsageError:
        return False


def _is_teacher(text: str) -> bool:
    try:
        return not family_of("teacher", text).name(text).is_path and "/" not in text
    except UsageError:
        return False


FIELDS = {
    "kind": Field(lambda card: card.head, known=KINDS.__contains__),
    "instruction": Field(lambda card: card.instruction, instruction_name, _is_instruction),
    "teacher": Field(lambda card: card.teacher, _teacher, _is_teacher),
    "objective": Field(lambda card: card.objective, known=OBJECTIVES.__contains__),
    "train": Field(lambda card: card.train),
    "seed": Field(lambda card: card.seed, known=lambda text: text.isdecimal() and len(text) < _FEWEST_DIGITS),
}
"""What heads are chosen by: `FIELD=VALUE`."""


def choose_heads(
    selector: str, kept: Sequence[Kept], trained_on: Callable[[str], str] = str, damaged: Sequence[DamagedHead] = ()
) -> list[Kept]:
    """All heads that a selector means, of those of a cache or in a file; none for `none`.

    `trained_on` gives what cards call the data set that a user means by a name or a path. One of the `damaged` heads
    is refused where it is named.

    In this order it is `none`, the path of a head, `FIELD=VALUE[,FIELD=VALUE…]`, or the beginning of one id. Raises
    UsageError where it means nothing, with the spelling that would.
    """
    if selector == NO_HEAD:
        return []
    if _is_path(Path(selector)):
        return [find_head(selector, kept)]
    if is_by_fields(selector):
        return _by_fields(selector, kept, trained_on)
    _refuse_bare_word(selector, kept)
    return [find_head(selector, kept, damaged)]


def is_by_fields(selector: str) -> bool:
    """Whether a selector means whatever has some values, and names no head."""
    return not _is_path(Path(selector)) and re.match(r"\w+\s*=", selector) is not None


def _is_path(path: Path) -> bool:
    try:
        return path.is_file() or is_head_folder(path)
    except (OSError, ValueError):  # a text that can be no path
        return False


def _by_fields(selector: str, kept: Sequence[Kept], trained_on: Callable[[str], str]) -> list[Kept]:
    wanted = _parts(selector)
    if "train" in wanted and not any(FIELDS["train"].has(card, wanted["train"]) for _, card in kept):
        wanted["train"] = trained_on(wanted["train"])
    if not kept:
        raise UsageError(f"{option('head')} {selector}: the cache has no heads: fit one first")
    for name, text in wanted.items():
        if not any(FIELDS[name].has(card, text) for _, card in kept):
            there = ", ".join(_values(name, (card for _, card in kept)))
            raise UsageError(
                f"{option('head')} {selector}: no head of the cache has the {name} {text!r}: there is {there}"
            )
    found = [one for one in kept if all(FIELDS[name].has(one[1], text) for name, text in wanted.items())]
    if not found:
        raise UsageError(
            f"{option('head')} {selector}: no head of the cache has all of these at once: "
            f"`expclip heads list` shows what there is"
        )
    return found


def _parts(selector: str) -> dict[str, str]:
    """What is wanted, by field. A comma within a value stays: a text may be an instruction."""
    wanted: dict[str, str] = {}
    for part in _separate(selector):
        name, _, text = (side.strip() for side in part.partition("="))
        if name not in FIELDS:
            raise UsageError(f"{option('head')} {selector}: there is no field {name!r}: choose {one_of(FIELDS)}")
        if name in wanted:
            raise UsageError(
                f"{option('head')} {selector}: {name} stands here twice: repeat {option('head')} for either"
            )
        wanted[name] = text
    return wanted


def _separate(selector: str) -> list[str]:
    """The parts of a selector. What follows a comma is one where it begins with a field, or with what may be meant
    for one; a text may hold commas."""
    parts: list[str] = []
    for part in re.split(r",(?=\s*\w+\s*=)", selector):
        name = part.partition("=")[0].strip()
        if not parts or name in FIELDS or difflib.get_close_matches(name, FIELDS):
            parts.append(part)
        else:
            parts[-1] += f",{part}"
    return parts


def _values(name: str, cards: Iterable[HeadCard]) -> list[str]:
    """What cards say of a field; numbers in their order."""
    values = {FIELDS[name].value(card) for card in cards}
    numbers = {text: int(text) for text in values if text.isdecimal() and len(text) <= _MOST_DIGITS}
    return sorted(values, key=lambda text: (numbers.get(text, -1), text))


def _refuse_bare_word(word: str, kept: Sequence[Kept]) -> None:
    """Raise UsageError for a word that is the value of a field, or a path, and not clearly the beginning of an id."""
    cards = [card for _, card in kept]
    if any(card.id == word for card in cards):
        return
    said = next((name for name, field in FIELDS.items() if any(field.has(card, word) for card in cards)), "")
    if beginning(word, kept):
        if said:
            raise UsageError(
                f"{option('head')} {word}: an id begins so, and heads have the {said} {word} too: write more digits "
                f"of the id, or {said}={word}"
            )
        return
    name = said or next((name for name, field in FIELDS.items() if field.known(word)), "")
    if name:
        there = ", ".join(_values(name, cards)) or "none"
        raise UsageError(
            f"{option('head')} {word}: no head has an id that begins so: write {quoted(f'{name}={word}')}"
            + ("" if said else f", which no head of the cache is yet: there is {there}")
        )
    if any(mark in word for mark in _FILE_MARKS):
        raise UsageError(f"{option('head')} {word}: there is no head in such a file or folder: correct the path")
