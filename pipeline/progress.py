"""The progress bar, or lines in its place: one listener among others."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TimeRemainingColumn
from rich.progress import Task as BarTask
from rich.text import Text

from ..reports.console import Description, bars, duration, show_remark
from .events import Emit, Event, RowsEncoded, ignore

EVERY = 60.0
"""Seconds between two lines."""


class _Speed(ProgressColumn):
    """Rows per second."""

    def render(self, task: BarTask) -> Text:
        return Text(f"{task.speed:,.0f} rows/s" if task.speed else "", style="dim")


@dataclass
class Lines:
    """What is said of long work where no bar can be shown: a line a minute."""

    what: str
    unit: str
    console: Console
    began: float = field(default_factory=lambda: monotonic())
    said: float = field(default_factory=lambda: monotonic())

    def reached(self, done: int, total: int) -> None:
        """So much is done by now."""
        now = monotonic()
        if self.console.is_terminal or now - self.said < EVERY or not 0 < done < total:
            return
        self.said, speed = now, done / max(now - self.began, 1e-9)
        share = f"{done:,} of {total:,} {self.unit} ({100 * done / total:.0f} %)"
        left = duration((total - done) / speed)
        show_remark(self.console, f"{self.what}: {share}, {speed:,.1f} a second, about {left} left")


def _by_lines(what: str, rows: int, console: Console) -> Emit:
    lines, done = Lines(what, "rows", console), 0

    def listen(event: Event) -> None:
        nonlocal done
        if isinstance(event, RowsEncoded):
            done += event.rows
            lines.reached(done, rows)

    return listen


Show = Callable[[int, int], None]
"""Told how much is done by now, and of how much."""


@contextmanager
def counted(what: str, unit: str, console: Console) -> Iterator[Show]:
    """Shows how far work is that has no rows to encode: a bar, or lines without a terminal."""
    lines = Lines(what, unit, console)
    with bars(console) as progress:
        bar = progress.add_task(what, total=None, visible=False)

        def show(done: int, total: int) -> None:
            progress.update(bar, completed=done, total=total, visible=True)
            lines.reached(done, total)

        yield show


@contextmanager
def progress_bar(what: str, rows: int, console: Console) -> Iterator[Emit]:
    """A listener that shows rows done and failed, rows per second and the time left: by lines without a terminal."""
    if not console.is_terminal or not rows:
        yield _by_lines(what, rows, console) if rows else ignore
        return
    columns = (Description(), BarColumn(), MofNCompleteColumn(), _Speed(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        bar = bars.add_task(what, total=rows)
        failed: set[tuple[str, str]] = set()

        def listen(event: Event) -> None:
            if isinstance(event, RowsEncoded):
                bars.advance(bar, event.rows)
            elif event.receipt.failed:
                failed.update((event.dataset, row.source) for row in event.receipt.failed)
                bars.update(bar, description=f"{what} ({len(failed):,} failed)")

        yield listen
