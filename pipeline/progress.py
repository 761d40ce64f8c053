"""The progress bar: one listener among others."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Task as BarTask
from rich.text import Text

from .events import Emit, Event, RowsEncoded, nobody


class _Speed(ProgressColumn):
    """Rows a second."""

    def render(self, task: BarTask) -> Text:
        return Text(f"{task.speed:,.0f} rows/s" if task.speed else "", style="dim")


@contextmanager
def progress_bar(what: str, rows: int, console: Console) -> Iterator[Emit]:
    """A listener that shows rows done, rows a second and the time left; silent where nobody looks at a terminal."""
    if not console.is_terminal or not rows:
        yield nobody
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Speed(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        bar = bars.add_task(what, total=rows)

        def listen(event: Event) -> None:
            if isinstance(event, RowsEncoded):
                bars.advance(bar, event.rows)

        yield listen
