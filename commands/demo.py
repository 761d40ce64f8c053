"""`expclip demo`: the ordinary commands on the built-in faces with the miniature models."""

from pathlib import Path

from ..reports.console import print_line
from .command import Command
from .request import Request, ask


class Demo(Request, verb="demo"):
    """Run the whole method on built-in faces with miniature models, offline, on a CPU.

    Prints the ordinary commands and runs them; give them one by one to get the same.
    """

    out: Path = ask("Folder for the demo's cache and results.", Path("expclip-demo"), in_file=False)


def show(request: Demo, answer: None) -> None:
    """Where to look."""
    print_line(
        f"Look at {request.out / 'figures'} and {request.out / 'results' / 'tables.md'}. The miniature shows the "
        "mechanism on cartoon faces and is not evidence for the paper: see docs/miniature.md"
    )


DEMO = Command(Demo, "stages.demo:demo", show)
