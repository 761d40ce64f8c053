"""The two ways a command can end badly, each with its exit code, and how their messages are worded."""

import re
from collections.abc import Iterable

_LONGEST = 300
_OPTION = re.compile("\0([a-z_]+)\0")


class ExpclipError(Exception):
    """Something failed. The message says what, where and what to do; it is shown without a traceback."""

    exit_code = 1

    def __str__(self) -> str:
        """The message as Python's users read it: options are parameters, `batch_size`."""
        return _OPTION.sub(r"\1", super().__str__())

    @property
    def as_typed(self) -> str:
        """The message as the command line shows it: options are `--batch-size`."""
        return _OPTION.sub(lambda found: flag(found[1]), super().__str__())


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
