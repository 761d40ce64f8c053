"""A head from labels for a data set of folds: for each fold one that has not seen it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .samples import Classifier, Samples


def text_scale(head: Classifier) -> float | None:
    """How much the cosines of samples and prompts weigh beside a head's scores; None where it needs no prompts."""
    return getattr(head, "text_scale", None)


def gives_logits(head: Classifier) -> bool:
    """Whether a head says that a softmax of its scores is what it holds likely, as one that adds to prompts' does."""
    return text_scale(head) is not None or getattr(head, "gives_logits", False)


def folds_of(head: object) -> Collection[int]:
    """The folds that alone a head may score; none where it scores all samples."""
    return head.heads if isinstance(head, ByFold) else ()


@dataclass(eq=False)
class ByFold:
    """The heads of the folds; a sample is scored by that of its own fold."""

    heads: Mapping[int, Any]
    """By the fold that each has not seen; they are `Classifier`s and can be saved."""
    losses_: list[float] = field(default_factory=list)
    step_losses_: list[float] = field(default_factory=list)

    @property
    def classes(self) -> tuple[str, ...]:
        return next(iter(self.heads.values())).classes

    @property
    def width(self) -> int | None:
        """L, of the embeddings that it takes, where it says that."""
        return getattr(next(iter(self.heads.values())), "width", None)

    @property
    def text_scale(self) -> float | None:
        return text_scale(next(iter(self.heads.values())))

    @property
    def gives_logits(self) -> bool:
        return gives_logits(next(iter(self.heads.values())))

    def tensors(self) -> dict[str, np.ndarray]:
        """What a file keeps of it: the tensors of each, behind the number of its fold."""
        return {f"{k}.{name}": value for k, head in self.heads.items() for name, value in head.tensors().items()}

    def scores_of_folds(self, samples: Samples, folds: np.ndarray) -> np.ndarray:
        """(n, classes) float64 of samples in folds (n,)."""
        scores = np.full((len(samples), len(self.classes)), np.nan)
        for fold, head in self.heads.items():
            numbers = np.flatnonzero(folds == fold)
            if len(numbers):
                scores[numbers] = head.class_scores(samples.take(numbers))
        return scores

    def class_scores(self, samples: Samples) -> np.ndarray:
        """No sample is scored by a head whose fold is not known to be the sample's."""
        raise ValueError("which fold is a sample in? Score a head of folds with `scores_of_folds`")


def parts_by_fold(tensors: Mapping[str, np.ndarray], folds: list[int]) -> dict[int, dict[str, np.ndarray]]:
    """The tensors of each fold's head. Raises ValueError where there are others."""
    found: dict[int, dict[str, np.ndarray]] = {fold: {} for fold in folds}
    for name, value in tensors.items():
        fold, _, own = name.partition(".")
        if not fold.isdecimal() or int(fold) not in found:
            raise ValueError(f"{name} belongs to none of its folds")
        found[int(fold)][own] = value
    if not folds or not all(found.values()):
        raise ValueError("it lacks the head of a fold")
    return found
