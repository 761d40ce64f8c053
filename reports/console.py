"""All that is written on a terminal: lines, tables, bars. Text of others reaches it through `shown`."""

import json
import logging
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskProgressColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from ..errors import escape, shown

_PIPE_WIDTH = 160
_BARS_OFF = ("HF_HUB_DISABLE_PROGRESS_BARS", "TQDM_DISABLE")
"""What tells the hub's client, and the bars of other libraries, to show none: they look when they are imported."""
_is_quiet = threading.Event()


@contextmanager
def quietly() -> Iterator[None]:
    """In the block nothing is said on stderr but errors and failures, by no library either."""
    new, logged = [name for name in _BARS_OFF if name not in os.environ], logging.root.manager.disable
    os.environ.update(dict.fromkeys(new, "1"))
    logging.disable(max(logged, logging.WARNING))
    _is_quiet.set()
    try:
        yield
    finally:
        _is_quiet.clear()
        logging.disable(logged)
        for name in new:
            os.environ.pop(name, None)


def stderr() -> Console:
    """Where progress and remarks are shown; nowhere for a quiet command."""
    return Console(stderr=True, highlight=False, markup=False, quiet=_is_quiet.is_set())


def stdout() -> Console:
    """Where the help of a command is shown."""
    return Console(highlight=False)


def print_line(line: str) -> None:
    """One line on stdout."""
    print(shown(line))


def print_command(line: str) -> None:
    """One line on stdout that holds a command, which is shown whole, however long."""
    print(escape(line))


def say(line: str) -> None:
    """A remark on stderr, unless the command is quiet."""
    if not _is_quiet.is_set():
        complain(line)


def complain(line: str) -> None:
    """An error or a failure on stderr, of a quiet command too."""
    print(shown(line), file=sys.stderr)


def show_remark(console: Console, line: str, style: str = "") -> None:
    """One line on a console."""
    console.print(Text(shown(line)), style=style, soft_wrap=True)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table of text cells on stdout, as wide as the terminal allows, or as a file or a pipe likes.

    Its title is one line, however narrow the table is.
    """
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    if title:
        console.print(Text(shown(title), style="bold"), soft_wrap=True)
    table = Table(box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(Text(shown(column)), overflow="fold")
    for row in rows:
        table.add_row(*(Text(shown(cell)) for cell in row))
    console.print(table)


def print_json(content: Any) -> None:
    """One JSON document on stdout; whatever is no ASCII is spelt in it."""
    print(json.dumps(content, indent=1, ensure_ascii=True, default=str))


class Description(ProgressColumn):
    """What a bar is of."""

    def render(self, task: Task) -> Text:
        return Text(shown(task.description), style="progress.description")


def bars(console: Console) -> Progress:
    """Progress bars on a console; none without a terminal."""
    columns = (Description(), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def duration(seconds: float | None) -> str:
    """12 s, 3 min 04 s, 5 h 06 min."""
    if seconds is None:
        return "unknown until some rows are done"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
