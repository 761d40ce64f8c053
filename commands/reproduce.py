"""`expclip reproduce`: the paper's tables from the cache, and what is missing for the rest."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..manifests.paper import DATASETS, TRAIN
from ..reports.console import print_command, print_line, print_table
from ..reports.paper_tables import FilledTable, as_json, as_text
from . import options
from .command import Command, note_untrained
from .options import Names
from .request import Request, ask


class Reproduce(Request, verb="reproduce"):
    """Show the paper's tables: our numbers, the published ones, the difference, and what is missing for the rest.

    Everything comes from the cache: no model runs and no head is trained. The commands that make what is missing are
    listed first. Mean ± standard deviation over seeds, in percent. Example:

    `expclip reproduce 2 A --test raf-db`
    """

    tables: Names = ask(
        "Tables of the paper, or dfer, which is DFER-CLIP's; all of the paper without any.",
        (),
        metavar="[1|2|3|4|5|A|B|dfer]…",
        is_argument=True,
        in_file=False,
    )
    clip: Names = options.CLIP.but(
        help="Backbones; repeat for several. `auto` is those of each table.",
        default=(),
        unset="auto",
        in_defaults=False,
    )
    teacher: str = options.TEACHER.but(in_defaults=False)
    train: str = ask("The faces that heads learnt from.", TRAIN, metavar="DATASET", in_file=False)
    test: Names = ask(
        "The columns; repeat for several. Without any, the table dfer has DFEW, FERV39k and MAFW.",
        tuple(name.lower() for name in DATASETS),
        metavar="DATASET",
        in_file=False,
    )
    frames: str = options.FRAMES
    protocol: str | None = options.PROTOCOL
    dtype: str | None = options.DTYPE
    out: Path | None = ask("Folder for tables.md.", None, unset="none", in_file=False)
    cache: Path | None = options.CACHE


@dataclass(frozen=True)
class Step:
    """A command, and how far it is."""

    command: str
    makes: str
    """Stores, heads, files or columns of a table."""
    have: int
    of: int

    @property
    def state(self) -> str:
        return f"{self.have} of {self.of} {self.makes}"


@dataclass(frozen=True)
class Reproduction:
    """Tables with our numbers, and the commands behind them."""

    steps: tuple[Step, ...]
    tables: tuple[FilledTable, ...]


def show(request: Reproduce, answer: Reproduction) -> None:
    """The commands, then the tables with their notes."""
    print_line("What makes these numbers:")
    for step in answer.steps:
        print_command(f"  {step.state:>16}  {step.command}")
    for table, notes in map(as_text, answer.tables):
        print_table(table.title, table.columns, table.rows)
        for note in notes:
            print_line(f"  {note}")
    note_untrained(table.untrained for table in answer.tables)


def document(request: Reproduce, answer: Reproduction) -> dict[str, Any]:
    """What --json prints."""
    steps = [asdict(step) for step in answer.steps]
    return {"steps": steps, "tables": [as_json(table) for table in answer.tables]}


REPRODUCE = Command(Reproduce, "stages.reproduce.reproduce:reproduce", show, document)
