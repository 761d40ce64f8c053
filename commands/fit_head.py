"""`expclip fit-head`: train projection heads from cached features."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..heads.kinds import KINDS
from ..heads.recipe import MOST_SEED, PRECISIONS, Recipe
from ..heads.saving import HeadCard
from ..heads.shots import SHARE
from . import options
from .command import Command, note_untrained, print_records
from .options import Names
from .request import Request, ask

_USUAL = Recipe()


class FitHead(Request, verb="fit-head"):
    """Train heads from cached features, in seconds.

    Every combination of repeated options is trained unless it is in the cache already. No image is read, and no model
    is loaded but for the prompts of tip-adapter where they are missing. Example:

    `expclip fit-head --train caer-s --clip ViT-L-14 --instruction related-1 --instruction empty`
    """

    train: str = ask("The faces to learn from.", metavar="DATASET", in_file=False)
    clip: Names = options.CLIP
    teacher: str = options.TEACHER
    instruction: Names = options.INSTRUCTION
    protocol: str | None = options.PROTOCOL
    classes: Names = options.CLASSES.but(help="The classes that heads learn from labels, in this order.")
    head: Names = ask(
        "The kind of head; repeat to sweep. ridge is the least squared error in closed form, without a seed; "
        "linear-probe, tip-adapter, tip-adapter-f and dfer-clip learn from labels, without a teacher; dfer-clip "
        "from clips. A cache holds one pass "
        "over an image, so that tip-adapter's keys are of one, where its authors average ten.",
        ("linear",),
        choices=KINDS,
    )
    objective: str = options.OBJECTIVE
    seed: tuple[int, ...] = ask("Repeat for several.", (1, 2, 3), least=0, most=MOST_SEED)
    epochs: int | None = ask(
        "`auto` is 5, and 50 for dfer-clip; for infonce with the miniature, what suits it.",
        None,
        unset="auto",
        least=1,
    )
    batch_size: int = ask("Rows per step; dfer-clip takes 48 clips unless another is given.", 512, least=2)
    lr: float | None = ask(
        "Learning rate of SGD; `auto` is 0.001, and 0.01 for dfer-clip; for infonce with the miniature, what suits "
        "it.",
        None,
        unset="auto",
        above=0,
    )
    momentum: float = ask("Of SGD.", _USUAL.momentum, least=0)
    weight_decay: float = ask("Of SGD.", _USUAL.weight_decay, least=0)
    precision: str = ask("The dtype of the matrix products.", _USUAL.precision, choices=PRECISIONS)
    ridge_lambda: float = ask(
        "λ of ridge as a share of the mean eigenvalue of XᵀX / n; 0 is plain least squares.",
        _USUAL.ridge_lambda,
        least=0,
        most=1e6,
    )
    shots: tuple[int, ...] = ask(
        "Samples of each class that heads learn from labels, drawn by seed; repeat to sweep; `auto` is all.",
        (),
        unset="auto",
        least=1,
    )
    balanced: bool = ask(
        "Heads from labels count each class alike, however many samples it has, also when they validate.", False
    )
    validation: float = ask(
        "The share of each class that heads from labels do not learn from, but choose numbers by; drawn by seed. "
        "With --shots as many samples as shots, up to 4.",
        SHARE,
        above=0,
        most=0.9,
    )
    prompts: str | None = options.PROMPTS.but(
        help="The prompts beside which tip-adapter validates, and those that dfer-clip leads clips to: P-1 … P-5, "
        "descriptions, or a file; `auto` is P-3 for tip-adapter and descriptions for dfer-clip. They are encoded "
        "where they are missing. evaluate adds what tip-adapter learnt to whatever prompts it is given.",
        default=None,
        unset="auto",
    )
    frames: str = options.FRAMES.but(help="Frames of a clip that heads learn from labels.")
    device: str | None = options.DEVICE
    cache: Path | None = options.CACHE


@dataclass(frozen=True)
class FittedHead:
    """A head in the cache."""

    path: Path
    card: HeadCard
    is_new: bool
    """Whether this run trained it."""


_COLUMNS = {
    "id": "card.id",
    "backbone": "card.backbone",
    "head": "card.label",
    "loss": lambda one: " → ".join(
        dict.fromkeys(f"{loss:.3f}" for loss in (*one.card.losses[:1], *one.card.losses[-1:]))
    ),
    "fitted in": lambda one: f"{one.card.seconds:.1f} s" if one.is_new else "in the cache",
}


def show(request: FitHead, answer: list[FittedHead]) -> None:
    """A line per head."""
    print_records(f"Heads trained on {request.train}", answer, _COLUMNS)
    note_untrained(one.card.untrained for one in answer)


def document(request: FitHead, answer: list[FittedHead]) -> list[dict[str, Any]]:
    """What --json prints: the cards."""
    return [one.card.shown() | {"path": one.path, "is_new": one.is_new} for one in answer]


FIT_HEAD = Command(FitHead, "stages.fit_head:fit_head", show, document)
