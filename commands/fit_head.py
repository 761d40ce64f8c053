"""`expclip fit-head`: train projection heads from cached features."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..heads.clip_recipe import CONTEXTS, POSITIONS, SAMPLERS, SELECTS, TEXTS, Contexts
from ..heads.kinds import KINDS
from ..heads.recipe import MOST_SEED, PRECISIONS, Recipe
from ..heads.saving import HeadCard
from ..heads.shots import SHARE
from . import options
from .command import Command, note_untrained, print_records
from .options import Names
from .request import Request, ask

_USUAL = Recipe()
_MOST = 3.4e38
"""Of what numbers in float32 are multiplied by."""


class FitHead(Request, verb="fit-head"):
    """Train heads from cached features, in seconds.

    Every combination of repeated options is trained unless it is in the cache already. No image is read, and no model
    is loaded but CLIP's text tower: for prompts that are missing, and for those that dfer-clip and coop learn, which
    takes minutes on a GPU and longer on a CPU. Example:

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
        "linear-probe, tip-adapter, tip-adapter-f, dfer-clip and coop learn from labels, without a teacher, dfer-"
        "clip from clips. A cache holds one pass over an image, so that tip-adapter's keys are of one, where its "
        "authors average ten.",
        ("linear",),
        choices=KINDS,
    )
    objective: str = options.OBJECTIVE
    seed: tuple[int, ...] = ask("Repeat for several.", (1, 2, 3), least=0, most=MOST_SEED)
    epochs: int | None = ask(
        "`auto` is 5, and 50 for dfer-clip and coop; for infonce with the miniature, what suits it.",
        None,
        unset="auto",
        least=1,
    )
    batch_size: int = ask("Rows per step; dfer-clip and coop take 48 clips unless another is given.", 512, least=2)
    lr: float | None = ask(
        "Learning rate of SGD; `auto` is 0.001, and 0.01 for dfer-clip; for infonce with the miniature, what suits "
        "it.",
        None,
        unset="auto",
        above=0,
        most=_MOST,
    )
    momentum: float = ask("Of SGD.", _USUAL.momentum, least=0, most=_MOST)
    weight_decay: float = ask("Of SGD.", _USUAL.weight_decay, least=0, most=_MOST)
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
        "With --shots as many samples as shots, up to 4. dfer-clip and coop hold out none unless --select says so.",
        SHARE,
        above=0,
        most=0.9,
    )
    prompts: str | None = options.PROMPTS.but(
        help="The prompts beside which tip-adapter validates, and those that dfer-clip and coop lead samples to: P-1 "
        "… P-5, descriptions, or a file; `auto` is P-3 for tip-adapter, descriptions for dfer-clip and P-1 for coop. "
        "They are encoded where they are missing. evaluate adds what tip-adapter learnt to whatever prompts it is "
        "given.",
        default=None,
        unset="auto",
    )
    frames: str | None = options.FRAMES.but(
        help="Frames of a clip that heads learn from labels; `auto` is released, and for dfer-clip and coop all, if "
        "they are extracted, else edge.",
        default=None,
        unset="auto",
    )
    text: str = ask(
        "Prompts of dfer-clip: `learned` puts vectors that are learnt into them, through CLIP's text tower at every "
        "step; `fixed` leaves them as they are, which is several times as fast. coop learns them.",
        TEXTS[0],
        choices=TEXTS,
    )
    context_tokens: int | None = ask(
        "Vectors that are learnt for a prompt; `auto` is 8 for dfer-clip, 16 for coop.", None, unset="auto", least=1
    )
    contexts: str | None = ask(
        "Whether every class has vectors of its own; `auto` is per-class for dfer-clip, shared for coop.",
        None,
        choices=CONTEXTS,
        unset="auto",
    )
    context_position: str = ask(
        "Where the words of a class stand: behind its vectors, in their middle, or in front.",
        POSITIONS[0],
        choices=POSITIONS,
    )
    context_lr: float = ask("Learning rate of SGD for these vectors.", Contexts().lr, above=0, most=_MOST)
    sampler: str = ask(
        "How dfer-clip and coop draw 16 of all frames: as the released code, which never sees the last n mod 16, "
        "or one of each of 16 parts that cover it.",
        SAMPLERS[0],
        choices=SAMPLERS,
    )
    select: str = ask(
        "The epoch of dfer-clip and coop that counts: the last, the best on clips that are held out (--validation), "
        "or, only to reproduce what was published so, the best on the fold that is tested. All results say so.",
        SELECTS[0],
        choices=SELECTS,
    )
    device: str | None = options.ONE_DEVICE
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
