"""The heads of a cache: those that can be used, those that cannot, and which of them a user means."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import UsageError, option, quoted, reason
from .saving import CARD, WEIGHTS, HeadCard, Kept, card_in_cache, is_head_folder, known_card


class DamagedHead(NamedTuple):
    """A head of a cache that cannot be used."""

    path: Path
    problem: str

    def __str__(self) -> str:
        """One line: where, what is wrong, and what to do."""
        command = f"`expclip heads rm {quoted(str(self.path))}`"
        todo = f"fit it again, or run {command}" if self.path.is_dir() else "get the file again"
        return f"{self.path}: this head is damaged ({self.problem}): {todo}"


def heads_in(heads: Path) -> tuple[list[Kept], list[DamagedHead]]:
    """The heads of a cache with their cards, alike ones side by side, and those that cannot be used.

    What else lies there is nobody's business. Weights are not read: `load_head` does.
    """
    kept: list[Kept] = []
    damaged: list[DamagedHead] = []
    for folder in sorted(heads.glob("[!.]*")) if heads.is_dir() else ():
        try:
            if is_head_folder(folder):
                kept.append((folder, card_in_cache(folder)))
        except (OSError, ValueError) as error:
            damaged.append(DamagedHead(folder, reason(error)))
    return sorted(kept, key=lambda one: (one[1].label, one[1].id)), damaged


def find_head(name: str, known: Sequence[Kept], damaged: Sequence[DamagedHead] = ()) -> Kept:
    """The head that a user means by a folder, a file, or the beginning of an id.

    Where no id begins so, that of an imported head may where it came from. Raises UsageError otherwise.
    """
    path = Path(name)
    if path.is_file() and path.name == WEIGHTS and (path.parent / CARD).is_file():
        path = path.parent
    try:
        card = known_card(path)
    except (OSError, ValueError) as error:
        raise UsageError(str(DamagedHead(path, reason(error)))) from error
    if card is not None:
        return path, card
    if path.is_file():
        raise UsageError(
            f"{option('head')} {name}: the file does not say what head it is: run `expclip heads import "
            f"{quoted(name)} --features DATASET`"
        )
    broken = [one for one in damaged if one.path.name.startswith(name)]
    matching = beginning(name, known)
    if broken and not any(card.id.startswith(name) for _, card in matching):
        raise UsageError(str(broken[0]))
    if len(matching) != 1:
        ids = ", ".join(card.id for _, card in matching or known) or "there is none"
        raise UsageError(
            f"{name!r}: {'several heads have ids that begin so' if matching else 'no such head'} ({ids})"
        )
    return matching[0]


def beginning(name: str, known: Sequence[Kept]) -> list[Kept]:
    """The heads whose ids begin so; where there is none, those that had such an id where they came from."""
    own = [one for one in known if one[1].id.startswith(name)]
    return own or [one for one in known if had_id(one[1], name)]


def had_id(card: HeadCard, name: str) -> bool:
    """Whether an imported head had an id that begins so."""
    return (card.original_id or "").startswith(name or "-")
