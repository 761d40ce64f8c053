"""The kinds of heads: a new one is a file and a line in this table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np

from ..lazy import load
from ..manifests.prompts import DESCRIPTIONS
from ..scoring.samples import Samples
from .clip_recipe import FIXED, LEARNED, SHARED, ClipTraining, Contexts
from .pairs import TeacherPairs as TeacherPairs
from .recipe import Recipe

Progress = Callable[[int, int], None]
"""(steps done, steps in all)."""


class SavedHead(Protocol):
    """A fitted head, as files keep it. It is a `scoring.samples.Head`, or with labels a `Classifier`."""

    losses_: list[float]
    """The mean of each epoch; heads that are trained step by step have `step_losses_` too."""

    def tensors(self) -> dict[str, np.ndarray]:
        """What a file keeps of it."""
        ...


@dataclass(frozen=True)
class LabelledSamples:
    """What a head learns from labels: samples, images or whole clips, and their classes (n,) as indices."""

    samples: Samples
    labels: np.ndarray
    classes: tuple[str, ...]
    validation: "LabelledSamples | None" = None
    """What was held out to choose numbers by; None for kinds that choose none."""
    balanced: bool = False
    """Whether each class counts alike, however many samples it has."""
    texts: np.ndarray | None = None
    """(classes, L) float64 the prompts of each class as one direction, for kinds that need them."""
    training: ClipTraining | None = None
    """How clips are learnt, for kinds that lead them to prompts; None is with these texts as they are."""


@dataclass(frozen=True)
class Trainer:
    """How heads of a kind are fitted, and how they come back from a file."""

    fit: Callable[[Any, Recipe, Progress | None], SavedHead]
    """(TeacherPairs or LabelledSamples, recipe, progress) → the fitted head."""
    load: Callable[[Mapping[str, np.ndarray], Mapping[str, Any]], SavedHead]
    """(tensors, spec of its card) → the head."""
    refuse: Callable[[Mapping[str, np.ndarray]], None] = lambda tensors: None
    """Raises ValueError or KeyError for tensors that are not those of such a head."""
    sizes: Callable[[int, int], dict[str, Any]] | None = None
    """(L, L') → the sizes that were chosen for it; None where nothing was."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """How heads from labels are fitted where no option says it: part of what their cards say."""


@dataclass(frozen=True)
class Kind:
    """A kind of head, without its code."""

    target: str
    """Its Trainer."""
    learns_from: Literal["teacher", "labels"] = "teacher"
    has_steps: bool = True
    """Whether it is trained step by step: then it has a seed and an optimiser, and with a teacher an objective."""
    is_linear: bool = False
    """Whether it is one matrix."""
    validates: bool = False
    """Whether it chooses numbers by labelled samples that it does not learn from, which a seed draws."""
    prompts: str = ""
    """The prompts that it learns beside where none are asked for; empty for kinds that need none."""
    most_frames: int | None = None
    """Of a clip that it takes; None is any number."""
    texts: tuple[str, ...] = ()
    """Whether the prompts that it leads to may be `learned`, or stay `fixed`, the usual first; empty for other kinds.

    Such a kind draws frames of clips that are there as a whole, and may choose the epoch that counts.
    """
    contexts: Contexts = field(default_factory=Contexts)
    """What is learnt of prompts where nothing else is asked for."""
    usual: Mapping[str, Any] = field(default_factory=dict)
    """Numbers of its optimiser that are its own where none are asked for."""

    @property
    def trainer(self) -> Trainer:
        return load(self.target)


def refuse_shapes(tensors: Mapping[str, np.ndarray], expected: Mapping[str, tuple[object, ...]]) -> None:
    """Raise ValueError where a file holds other tensors than a kind of head has, by name and shape."""
    found = {name: np.shape(value) for name, value in tensors.items()}
    if found != expected:
        names = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
        said = ", ".join(f"{name} {found.get(name, 'none')} for {expected.get(name, 'none')}" for name in names[:3])
        raise ValueError(f"its tensors are not those of such a head: {said}")


KINDS = {
    "linear": Kind("heads.linear:TRAINER", is_linear=True),
    "mlp2": Kind("heads.mlp:TWO_LAYERS"),
    "mlp3": Kind("heads.mlp:THREE_LAYERS"),
    "transformer": Kind("heads.transformer:TRAINER"),
    "ridge": Kind("heads.ridge:TRAINER", has_steps=False, is_linear=True),
    "linear-probe": Kind("heads.probe:TRAINER", "labels", has_steps=False, validates=True),
    "tip-adapter": Kind("heads.tip:PLAIN", "labels", has_steps=False, validates=True, prompts="P-3"),
    "tip-adapter-f": Kind("heads.tip:TRAINED", "labels", has_steps=False, validates=True, prompts="P-3"),
    "dfer-clip": Kind(
        "heads.dfer_clip:TRAINER",
        "labels",
        prompts=DESCRIPTIONS,
        most_frames=16,
        texts=(LEARNED, FIXED),
        usual={"epochs": 50, "batch_size": 48, "lr": 1e-2},
    ),
    "coop": Kind(
        "heads.dfer_clip:COOP",
        "labels",
        prompts="P-1",
        texts=(LEARNED,),
        contexts=Contexts(16, SHARED),
        usual={"epochs": 50, "batch_size": 48},
    ),
}
