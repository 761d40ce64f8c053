"""`expclip demo`: the ordinary commands on the built-in faces with the miniature models."""

from pathlib import Path
from typing import Any

from ..commands import command
from ..commands.demo import Demo
from ..commands.evaluate import Evaluate
from ..commands.extract import Extract
from ..commands.figures import Figures
from ..commands.fit_head import FitHead
from ..commands.request import Request
from ..pipeline.checks import refuse_folder
from ..reports.console import say

TRAIN, TESTS = "faces-train", ("faces-test", "faces-clips")
MINIATURE = "miniature"
INSTRUCTIONS = ("related-1", "unrelated-1", "empty")
PROMPTS = "P-3"


def demo(request: Demo) -> None:
    """Print the commands, and do them in order."""
    steps = demo_steps(request.out)
    for place in (request.out, request.out / "cache", *(vars(step).get("out") for _, step in steps)):
        refuse_folder(place)
    for why, step in steps:
        for line in ("", f"# {why}", f"$ {step.command()}"):
            say(line)
        one = command(step.verb)
        one.show(step, one.do(step))


def demo_steps(out: Path) -> list[tuple[str, Request]]:
    """What the demo does, and why, in order."""
    here: dict[str, Any] = {"clip": MINIATURE, "cache": out / "cache"}
    taught = here | {"teacher": MINIATURE, "instruction": INSTRUCTIONS, "device": "cpu"}
    scored = here | {"datasets": TESTS, "prompts": PROMPTS}
    return [
        (
            "run the frozen models once over all images, and ask the teacher three things about the training faces",
            Extract(datasets=(TRAIN, *TESTS), **taught),
        ),
        ("train heads from the cached tensors: three instructions, three seeds", FitHead(train=TRAIN, **taught)),
        (
            "score the cached test features: plain CLIP and every head",
            Evaluate(**scored, device="cpu", out=out / "results"),
        ),
        ("draw what the heads change", Figures(**scored, kind=("confusion", "samples"), out=out / "figures")),
    ]
