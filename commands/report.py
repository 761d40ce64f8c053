"""`expclip report`: one page of evaluations, to look through and to hand over."""

from dataclasses import dataclass
from pathlib import Path

from rich.filesize import decimal as byte_count

from ..reports.console import print_line
from . import options
from .command import Command, as_document
from .options import Names
from .request import Request, ask

PICTURES = 200
"""Samples that are shown with their picture where nothing else is said."""
MOST_PICTURES = 2000


class Report(Request, verb="report"):
    """Write one HTML page of evaluations, to look through and to hand over.

    It needs neither a network nor a server: a score table to sort and filter, gains over plain CLIP with their
    intervals, recalls, confusion matrices, reliability, the spread over seeds, what the features are, and the samples
    that the best head repaired or broke, the first of them with small pictures. RESULTS are folders that
    `expclip evaluate` wrote. Example:

    `expclip report expclip-results --out report.html`
    """

    results: Names = ask("Folders of results.", metavar="RESULTS…", is_argument=True, in_file=False)
    out: Path = ask("The page; one that is there is replaced.", Path("expclip-report.html"), in_file=False)
    pictures: int = ask(
        "Samples whose pictures go into the page, as far as they are where the cache says; 0 for a page without.",
        PICTURES,
        least=0,
        most=MOST_PICTURES,
    )
    cache: Path | None = options.CACHE


@dataclass(frozen=True)
class Page:
    """What was written."""

    path: Path
    bytes: int
    evaluations: int
    scores: int
    samples: int
    pictures: int


def show(request: Report, answer: Page) -> None:
    """One line."""
    print_line(
        f"{answer.path}: {answer.scores:,} scores, {answer.samples:,} samples, {answer.pictures:,} pictures, "
        f"{byte_count(answer.bytes)}"
    )


REPORT = Command(Report, "stages.report.report:report", show, as_document)
