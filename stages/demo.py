"""`expclip demo`: the ordinary commands on the built-in faces with the miniature models."""

from collections.abc import Sequence
from dataclasses import dataclass

DEMO_SEEDS = (1, 2, 3)


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
    where = ("--device", "cpu", "--cache", cache)
    seeds = tuple(part for seed in DEMO_SEEDS for part in ("--seed", str(seed)))
    return (
        Step(
            "run the frozen models once over all images",
            ("extract", "faces-train", "faces-test", "faces-clips", *clip, *teacher, *where),
        ),
        Step(
            "train heads from the cached tensors",
            ("fit-head", "--train", "faces-train", *clip, *teacher, *seeds, *where),
        ),
        Step(
            "score the cached test features: plain CLIP and every head, one to ten prompts a class",
            ("evaluate", "faces-test", "faces-clips", *clip, "--out", out, *where),
        ),
    )
