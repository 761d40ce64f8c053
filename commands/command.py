"""What a command is: what it asks for, the stage that does it, and how its answer is shown."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from operator import attrgetter
from typing import Any

from ..lazy import load
from ..reports.console import complain, print_table, say
from .request import Request

DONE, FAILED, DONE_WITH_FAILURES = 0, 1, 3
"""Exit codes. Wrong use is 2, and an interruption 128 and the number of the signal."""
_FAILURES_SHOWN = 20


@dataclass(frozen=True)
class Command:
    """One command of the command line, which is a function in a notebook too."""

    kind: type[Request]
    stage: str
    """The function that takes the request and gives the answer."""
    show: Callable[[Any, Any], None]
    """(request, answer): prints it for people to read, on stdout."""
    document: Callable[[Any, Any], Any] | None = None
    """(request, answer) → what --json prints; None where there is no --json."""
    ending: Callable[[Any, Any], int] = lambda request, answer: DONE
    """(request, answer) → the exit code; says on stderr what a person must know."""

    def do(self, request: Request) -> Any:
        """The stage's answer."""
        return load(self.stage)(request)


def as_document(request: Any, answer: Any) -> Any:
    """An answer that is made of dataclasses as it is, for --json."""
    if isinstance(answer, list | tuple):
        return [as_document(request, one) for one in answer]
    return asdict(answer) if is_dataclass(answer) and not isinstance(answer, type) else answer


def print_records(title: str, records: Iterable[Any], columns: Mapping[str, str | Callable[[Any], str]]) -> None:
    """A table with a row per record; a cell is an attribute of it, or what a function makes of it."""
    cells = [attrgetter(cell) if isinstance(cell, str) else cell for cell in columns.values()]
    print_table(title, list(columns), [[str(cell(record)) for cell in cells] for record in records])


def records(title: str, columns: Mapping[str, str | Callable[[Any], str]]) -> Callable[[Any, Any], None]:
    """What shows an answer that is a list of records."""
    return lambda request, answer: print_records(title, answer, columns)


def untrained(is_untrained: bool) -> str:
    """What a table says of it."""
    return "untrained" if is_untrained else ""


def note_untrained(flags: Iterable[bool]) -> None:
    """Say so where untrained weights are behind what is shown."""
    if any(flags):
        say("note: untrained (random) weights are among these: they show that the machinery works, nothing more")


def list_failed(lines: Sequence[str], summary: str) -> int:
    """The first of some failures and a summary on stderr; returns the exit code."""
    if not lines:
        return DONE
    for line in lines[:_FAILURES_SHOWN]:
        complain(f"failed: {line}")
    if len(lines) > _FAILURES_SHOWN:
        complain(f"… and {len(lines) - _FAILURES_SHOWN:,} more: --json lists them all")
    complain(summary)
    return DONE_WITH_FAILURES
