"""Text in the cells of a CSV file: no spreadsheet computes it, every byte is UTF-8, and it comes back as it was."""

import re
from functools import lru_cache

from ..errors import HIDDEN

_FORMULA = re.compile(r"['\"\s]*[=+\-@\t\r＝＋－＠]")
"""How a text begins that a spreadsheet may compute, quotes or spaces before it or not."""
_SPELT = re.compile(r"\\(?:u([0-9a-f]{4})|U([0-9a-f]{8})|x([0-9a-f]{2}))")
_BACKSLASH = "\\x5c"


@lru_cache(2**16)
def cell(text: str) -> str:
    """A text as it stands in a cell: hidden characters are spelt, and an apostrophe stands before a formula.

    A backslash is spelt where it would else begin the spelling of another character.
    """
    plain = _SPELT.sub(lambda found: (_BACKSLASH if _meant(found) else "\\") + found[0][1:], text)
    plain = HIDDEN.sub(_spelt, plain)
    return f"'{plain}" if _FORMULA.match(plain) else plain


def text_of(cell: str) -> str:
    """The text of a cell that `cell` wrote."""
    plain = cell[1:] if cell[:1] == "'" and _FORMULA.match(cell[1:]) else cell
    return _SPELT.sub(lambda found: _meant(found) or found[0], plain)


def _spelt(hidden: re.Match[str]) -> str:
    code = ord(hidden[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _meant(spelt: re.Match[str]) -> str:
    """The character that is spelt so in cells; empty where none is."""
    code = int("".join(filter(None, spelt.groups())), 16)
    character = chr(code) if code <= 0x10FFFF else ""
    return character if character == "\\" or HIDDEN.match(character) else ""
