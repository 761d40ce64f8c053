"""`expclip fit-head`: train projection heads from cached features."""

import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from ..cache.keys import digest
from ..cache.store import FeatureStore
from ..encoders.cards import fitting
from ..encoders.precision import resolve_device
from ..errors import UsageError
from ..heads.files import HeadCard, head_id, read_card, save_head
from ..heads.kinds import KINDS
from ..heads.objectives import OBJECTIVES
from ..heads.recipe import LOGIT_SCALE, RIDGE_LAMBDA, Recipe
from ..manifests.prompts import DEFAULT_INSTRUCTION
from .features import Choice, cached_manifest, complete_store
from .workspace import Workspace

PRECISIONS = ("float32", "bfloat16")
RELEASED = {"lr": 1e-3, "epochs": 5}


@dataclass(frozen=True)
class Training:
    """How heads are trained; the defaults are those of Exp-CLIP's released code."""

    epochs: int | None = None
    batch_size: int = 512
    lr: float | None = None
    """This and `epochs`: by default RELEASED; with infonce and a built-in teacher, what the teacher's card names."""
    momentum: float = 0.9
    weight_decay: float = 1e-4
    precision: str = "float32"
    """Number format of the matrix products."""
    ridge_lambda: float = RIDGE_LAMBDA
    """λ of ridge heads, as a share of the mean eigenvalue of (1/n) XᵀX; 0 is least squares."""

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise UsageError(f"--precision {self.precision!r}: choose {' or '.join(PRECISIONS)}")
        none = any(value is not None and not value > 0 for value in (self.epochs, self.lr))
        if none or self.batch_size < 2 or self.momentum < 0 or self.weight_decay < 0:
            raise UsageError("epochs, batch size and learning rate must be positive, momentum and decay not negative")
        if not 0 <= self.ridge_lambda < math.inf:
            raise UsageError(f"--ridge-lambda {self.ridge_lambda}: give 0 or a positive number")

    def resolved(self, objective: str, teacher: str) -> "Training":
        """With the epochs and the learning rate that are meant where none are given."""
        usual = RELEASED | (fitting(teacher) if objective == "infonce" else {})
        return replace(self, **{name: value for name, value in usual.items() if getattr(self, name) is None})

    def optimiser(self) -> dict[str, Any]:
        """What of it matters to heads that are trained step by step."""
        return {"name": "sgd"} | {name: value for name, value in asdict(self).items() if name != "ridge_lambda"}


@dataclass(frozen=True)
class Sweep:
    """The options that may be repeated: every combination becomes a head."""

    clips: Sequence[str | None] = (None,)
    teacher: str | None = None
    instructions: Sequence[str] = (DEFAULT_INSTRUCTION,)
    heads: Sequence[str] = ("linear",)
    objective: str = "infonce"
    seeds: Sequence[int] = (1, 2, 3)

    def __post_init__(self) -> None:
        for head in self.heads:
            if head not in KINDS:
                raise UsageError(f"--head {head!r}: choose {', '.join(KINDS)}")
        if self.objective not in OBJECTIVES:
            raise UsageError(f"--objective {self.objective!r}: choose {', '.join(OBJECTIVES)}")


@dataclass(frozen=True)
class FittedHead:
    """A head in the cache."""

    path: Path
    card: HeadCard
    is_new: bool
    """Whether this run trained it."""


def fit_head(
    workspace: Workspace, train: str, sweep: Sweep | None = None, training: Training | None = None
) -> list[FittedHead]:
    """Train every head of the sweep that is not in the cache yet, from cached features alone.

    Raises UsageError naming the `expclip extract` command where features are missing.
    """
    sweep, training = sweep or Sweep(), training or Training()
    manifest = cached_manifest(workspace.cache, workspace.dataset(train))
    device = resolve_device(workspace.device)
    fitted = []
    for clip, instruction in itertools.product(dict.fromkeys(sweep.clips), dict.fromkeys(sweep.instructions)):
        choices = (
            Choice(train, "clip_image", clip, None, workspace.protocol, workspace.dtype),
            Choice(train, "llm", sweep.teacher, instruction, workspace.protocol),
        )
        pairs = Pairs(*(complete_store(workspace.cache, manifest, choice) for choice in choices))
        chosen = training.resolved(sweep.objective, pairs.teacher.model)
        for head in dict.fromkeys(sweep.heads):
            for seed in dict.fromkeys(sweep.seeds) if KINDS[head].is_trained else (None,):
                card = _card(pairs, head, sweep.objective, seed, chosen)
                fitted.append(_fit(workspace, card, pairs, chosen, device))
    return fitted


class Pairs:
    """Image embeddings X (n, L) and teacher embeddings E (n, L') of the rows that have both; read when needed."""

    def __init__(self, images: FeatureStore, teacher: FeatureStore):
        self._stores = images, teacher
        self.images, self.teacher = images.header, teacher.header
        self.failed = sorted({row.row for store in self._stores for row in store.failed_rows()})

    @cached_property
    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """X and E as stored."""
        X, E = (store.read() for store in self._stores)
        return (np.delete(X, self.failed, axis=0), np.delete(E, self.failed, axis=0)) if self.failed else (X, E)


def _card(pairs: Pairs, head: str, objective: str, seed: int | None, training: Training) -> HeadCard:
    images, teacher = pairs.images, pairs.teacher
    how = _how(head, objective, seed, training, images.row_shape[-1], teacher.row_shape[-1])
    stores = {"clip_image": images.key, "llm": teacher.key, "failed_rows": digest(pairs.failed)}
    spec = how | stores
    return HeadCard(
        id=head_id(spec),
        head=head,
        objective=how["objective"]["name"],
        backbone=images.model,
        clip_digest=images.encoder_digest,
        teacher=teacher.model,
        instruction=teacher.instruction,
        protocol=images.protocol,
        train=images.dataset,
        seed=seed,
        untrained=images.untrained or teacher.untrained,
        spec=spec,
    )


def _how(
    head: str, objective: str, seed: int | None, training: Training, width: int, teacher_width: int
) -> dict[str, Any]:
    """What determines a head beside the features it is fitted to."""
    kind = KINDS[head]
    if not kind.is_trained:
        return {"head": head, "objective": {"name": "mse"}, "ridge_lambda": training.ridge_lambda}
    scale = {"logit_scale": LOGIT_SCALE} if objective == "infonce" else {}
    sizes = {"sizes": kind.sizes(width, teacher_width)} if kind.sizes else {}
    how = {"head": head, "objective": {"name": objective} | scale, "optimiser": training.optimiser(), "seed": seed}
    return how | sizes


def _fit(workspace: Workspace, card: HeadCard, pairs: Pairs, training: Training, device: str) -> FittedHead:
    folder = workspace.cache.heads / card.id
    known = read_card(folder)
    if known is not None:
        return FittedHead(folder, known, is_new=False)
    seed = card.seed or 0  # a head without a seed draws nothing
    recipe = Recipe(**asdict(training), objective=card.objective, seed=seed, device=device)
    started = time.perf_counter()
    with Progress(console=workspace.console, transient=True, disable=not workspace.console.is_terminal) as bars:
        bar = bars.add_task(f"fit {card.label}", total=None)

        def show(done: int, total: int) -> None:
            bars.update(bar, completed=done, total=total)

        head = KINDS[card.head].fit(*pairs.arrays, recipe, show)
    card = replace(card, losses=head.losses_, seconds=round(time.perf_counter() - started, 3))
    return FittedHead(save_head(workspace.cache.heads, card, head.tensors()), card, is_new=True)
