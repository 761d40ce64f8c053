"""What is said of a run while it goes on, where no bar can be shown."""

import io

import pytest
from expclip.pipeline import progress
from expclip.pipeline.events import RowsEncoded
from rich.console import Console


@pytest.fixture
def clock(monkeypatch):
    """Seconds that a test sets."""
    now = [0.0]
    monkeypatch.setattr(progress, "monotonic", lambda: now[0])
    return now


def said(clock, moments: list[tuple[float, int]], rows: int = 1000) -> list[str]:
    """The lines of a run in which rows are encoded at some moments."""
    console = Console(file=io.StringIO(), width=200)
    with progress.progress_bar("extract faces", rows, console) as listen:
        for clock[0], count in moments:
            listen(RowsEncoded(count))
    return console.file.getvalue().splitlines()


def test_without_a_terminal_there_is_a_line_a_minute(clock):
    lines = said(clock, [(second, 5) for second in range(1, 150)])
    assert lines == [
        "extract faces: 300 of 1,000 rows (30 %), 5.0 a second, about 2 min 20 s left",
        "extract faces: 600 of 1,000 rows (60 %), 5.0 a second, about 1 min 20 s left",
    ]


def test_a_short_run_says_nothing_and_the_last_rows_are_no_line(clock):
    assert said(clock, [(10.0, 500), (20.0, 500)]) == []
    assert said(clock, [(100.0, 1000)]) == []
    assert said(clock, [(100.0, 0)], rows=0) == []


def test_other_long_work_is_said_by_the_same_lines(clock):
    console = Console(file=io.StringIO(), width=200)
    with progress.counted("cropping", "images", console) as show:
        for clock[0], done in ((30.0, 30), (70.0, 70), (90.0, 90), (140.0, 140), (300.0, 280)):
            show(done, 280)
    assert console.file.getvalue().splitlines() == [
        "cropping: 70 of 280 images (25 %), 1.0 a second, about 3 min 30 s left",
        "cropping: 140 of 280 images (50 %), 1.0 a second, about 2 min 20 s left",
    ]
