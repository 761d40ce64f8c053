"""The progress bar: one listener among others."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TimeRemainingColumn
from rich.progress import Task as BarTask
from rich.text import Text

from ..reports.console import Description
from .events import Emit, Event, RowsEncoded, ignore


class _Speed(ProgressColumn):
    """Rows per second."""

    def render(self, task: BarTask) -> Text:
        return Text(f"{task.speed:,.0f} rows/s" if task.speed else "", style="dim")


@contextmanager
def progress_bar(what: str, rows: int, console: Console) -> Iterator[Emit]:
    """A listener that shows rows done and failed, rows per second and the time left; silent without a terminal."""
    if not console.is_terminal or not rows:
        yield ignore
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
