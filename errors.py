"""The two ways a command can end badly, each with its exit code, and how text that others wrote is shown."""

import os
import re
import reprlib
import shlex
from collections.abc import Iterable

_LONGEST = 300
_LONGEST_LINE, _LAST, _MARK = 3000, 400, 50
"""Characters of a line, how many of its last ones stay where it is cut, and room to say so."""
HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e0fff]"
)
"""Characters that a terminal obeys, or does not show: controls, turns of the direction, line separators, halves of
pairs. Spaces of all kinds and the joiners that languages and emoji need are none."""
_OPTION = re.compile("\0([a-z_]+)\0")


class ExpclipError(Exception):
    """Something failed. The message says what, where and what to do; it is shown without a traceback."""

    exit_code = 1

    def __str__(self) -> str:
        """The message as Python's users read it: options are parameters, `batch_size`."""
        return bounded(_OPTION.sub(r"\1", super().__str__()))

    @property
    def as_typed(self) -> str:
        """The message as the command line shows it: options are `--batch-size`."""
        return bounded(_OPTION.sub(lambda found: flag(found[1]), super().__str__()))


class UsageError(ExpclipError):
    """The request or the configuration is wrong: nothing was done."""

    exit_code = 2


def option(name: str) -> str:
    """An option by its parameter's name, for a message that is read in Python or on the command line."""
    return f"\0{name}\0"


def flag(name: str) -> str:
    """`--batch-size` for `batch_size`."""
    return "--" + name.replace("_", "-")


def one_of(choices: Iterable[object]) -> str:
    """`a, b or c`."""
    *first, last = map(str, choices)
    return f"{', '.join(first)} or {last}" if first else last


def reason(error: BaseException) -> str:
    """What another library's error says, on one line and not too long; its type where it says nothing."""
    text = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


_BRIEF = reprlib.Repr()
_BRIEF.maxstring = _BRIEF.maxother = _LONGEST


def brief(value: object) -> str:
    """A value as a message names it, however long or deep it is."""
    try:
        return _BRIEF.repr(value)
    except ValueError:  # Python spells no integer of more than 4,300 digits
        return "a number of thousands of digits"


def bounded(text: str) -> str:
    """A text that is not too long for a message: of a longer one the beginning, which says where, and the end.

    Of one that names a command only the beginning: its quotes must not be torn apart.
    """
    if len(text) <= _LONGEST_LINE:
        return text
    last = "" if "expclip " in text else text[-_LAST:]
    first = text[: _LONGEST_LINE - len(last) - _MARK]
    return f"{first}… ({len(text) - len(first) - len(last):,} more characters) {'…' if last else ''}{last}"


def escape(text: str) -> str:
    """A text in which characters that a terminal would obey, or not show, are spelt: `\\x1b`, `\\n`, `\\u202e`."""
    return HIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def shown(text: str) -> str:
    """Text that others may have written, as a line of a message: one line, nothing hidden, not too long."""
    return escape(bounded(text))


def quoted(word: str) -> str:
    """A word of a command as a shell takes it; hidden characters and bytes that are not text are spelt."""
    if not HIDDEN.search(word):
        return shlex.quote(word)
    plain = (c if c.isalnum() or c in " ._-/=,:+@" else "".join(f"\\x{b:02x}" for b in os.fsencode(c)) for c in word)
    return f"$'{''.join(plain)}'"
