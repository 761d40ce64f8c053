"""`expclip demo`: the ordinary commands on the built-in faces with the miniature models."""

from collections.abc import Sequence
from dataclasses import dataclass

DEMO_SEEDS = (1, 2, 3)
DEMO_PROMPTS = "P-3"
DEMO_INSTRUCTIONS = ("related-1", "unrelated-1", "empty")


@dataclass(frozen=True)
class Step:
    """One command of the demo."""

    why: str
    arguments: tuple[str, ...]

    @property
    def command(self) -> str:
        return " ".join(("expclip", *self.arguments))


def demo_steps(cache: str, out: str) -> Sequence[Step]:
    """The commands that the demo prints and runs, in order."""
    clip, teacher = ("--clip", "miniature"), ("--teacher", "miniature")
    questions, seeds = _repeated("--instruction", DEMO_INSTRUCTIONS), _repeated("--seed", DEMO_SEEDS)
    prompts = ("--prompts", DEMO_PROMPTS)
    kinds = _repeated("--kind", ("confusion", "samples"))
    tests = ("faces-test", "faces-clips")
    here = ("--cache", cache)
    on_cpu = ("--device", "cpu", *here)
    return (
        Step(
            "run the frozen models once over all images, and ask the teacher three things about the training faces",
            ("extract", "faces-train", *tests, *clip, *teacher, *questions, *on_cpu),
        ),
        Step(
            "train heads from the cached tensors: three instructions, three seeds",
            ("fit-head", "--train", "faces-train", *clip, *teacher, *questions, *seeds, *on_cpu),
        ),
        Step(
            "score the cached test features: plain CLIP and every head",
            ("evaluate", *tests, *clip, *prompts, "--out", f"{out}/results", *on_cpu),
        ),
        Step(
            "draw what the heads change",
            ("figures", *tests, *clip, *prompts, *kinds, "--out", f"{out}/figures", *here),
        ),
    )


def _repeated(option: str, values: Sequence[object]) -> tuple[str, ...]:
    return tuple(part for value in values for part in (option, str(value)))
