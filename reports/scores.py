"""What is scored, what is predicted, and what the scores are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..manifests.manifest import Manifest
from .bootstrap import Intervals
from .metrics import recalls, uar, war

ALL = "all"
"""The fold of a data set without folds."""
MEAN = "mean"
"""The fold of the plain mean over folds."""


@dataclass(frozen=True)
class Combination:
    """What was scored: which data, which backbone, which head, which prompts."""

    dataset: str
    backbone: str
    head: str
    """Kind of the head; "none" for plain CLIP."""
    head_id: str
    objective: str
    teacher: str
    instruction: str
    train: str
    """Data set that the head was trained on."""
    recipe: str
    """The same for heads that differ only in the seed."""
    seed: int | None
    prompts: str
    ensemble: str
    protocol: str
    frames: str
    untrained: bool
    image: str = "clip"
    """What encodes the images: "clip", or "llm" for e_G."""
    text: str = "clip"
    """What encodes the prompts: "clip", or "llm" for the teacher's T5."""

    @property
    def head_label(self) -> str:
        """For people, without the seed; the objective is named where it is not the usual one."""
        if self.head == "none":
            return "plain CLIP" if self.image == "clip" else f"LLM alone · {self.instruction}"
        objective = "" if self.objective == "infonce" else f", {self.objective}"
        sides = f" · image {self.image}, text {self.text}" if self._sides else ""
        return f"{self.head} head{objective} · {self.instruction}{sides}"

    @property
    def _sides(self) -> tuple[str, ...]:
        """What tells comparisons with the teacher's side apart; nothing for CLIP's two towers."""
        return () if self.image == self.text == "clip" else (f"{self.image}-{self.text}", self.instruction)

    @property
    def seed_label(self) -> str:
        """For people, with the seed."""
        return self.head_label if self.seed is None else f"{self.head_label} · seed {self.seed}"

    @property
    def slug(self) -> str:
        """A name for files."""
        return _slug(self.dataset, self.backbone, self.head_id or "none", *self._sides, self.prompts)

    @property
    def setting_slug(self) -> str:
        """A name for files about all heads on the same data, backbone and prompts."""
        return _slug(self.dataset, self.backbone, self.prompts)

    @property
    def features_slug(self) -> str:
        """A name for files about all heads on the same data and backbone, whatever the prompts."""
        return _slug(self.dataset, self.backbone)


def _slug(*parts: str) -> str:
    return "-".join("".join(c if c.isalnum() or c in "-_." else "-" for c in part) for part in parts)


@dataclass(frozen=True)
class Certainty:
    """95 % intervals of a score, and of its gain over plain CLIP on the same samples."""

    score: Intervals
    gain: Intervals | None
    """None for plain CLIP itself."""


@dataclass(frozen=True, eq=False)
class Score:
    """The result of one combination on one fold."""

    of: Combination
    fold: str
    """"all", the fold's number, or "mean"."""
    classes: tuple[str, ...]
    n: int
    """Samples scored."""
    n_failed: int
    """Samples left out because one of their images could not be encoded."""
    uar: float
    """Percent."""
    war: float
    """Percent."""
    recall: np.ndarray
    """(classes,) in 0 … 1."""
    confusion: np.ndarray
    """(classes, classes) counts, true by predicted; summed over folds for the mean."""
    certainty: Certainty | None = None
    """None where it was not asked for, or there is no sample."""


def score(of: Combination, fold: str, classes: tuple[str, ...], confusion: np.ndarray, n_failed: int) -> Score:
    """The scores of one confusion matrix."""
    n = int(confusion.sum())
    return Score(of, fold, classes, n, n_failed, uar(confusion), war(confusion), recalls(confusion), confusion)


def mean_over_folds(folds: Sequence[Score]) -> Score:
    """The plain mean of the folds' scores, as the field reports five-fold sets; a fold without samples has none."""
    first = folds[0]
    scored = [fold for fold in folds if fold.n]
    per_fold = [fold.recall for fold in folds]
    return Score(
        of=first.of,
        fold=MEAN,
        classes=first.classes,
        n=sum(fold.n for fold in folds),
        n_failed=sum(fold.n_failed for fold in folds),
        uar=_mean([fold.uar for fold in scored]),
        war=_mean([fold.war for fold in scored]),
        recall=np.array([_mean([r for r in recall if not np.isnan(r)]) for recall in zip(*per_fold, strict=True)]),
        confusion=np.sum([fold.confusion for fold in folds], axis=0),
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


@dataclass(frozen=True, eq=False)
class Predictions:
    """What one combination predicts for the samples that could be scored."""

    of: Combination
    manifest: Manifest
    samples: np.ndarray
    """(n,) sample numbers in the manifest."""
    similarity: np.ndarray
    """(n, classes) cosines, averaged over the prompts of each class."""

    @property
    def predicted(self) -> np.ndarray:
        """(n,) class indices."""
        return self.similarity.argmax(axis=1)
