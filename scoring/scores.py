"""What is scored, what is predicted, and what the scores are."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..manifests.disk import file_safe, short_name
from ..manifests.manifest import NO_FOLD, Manifest
from .intervals import Intervals, paired_difference, score_interval
from .metrics import confusion_matrix, recalls, uar, war

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
    image: str
    """What encodes the images: "clip", or "llm" for e_G."""
    text: str
    """What encodes the prompts: "clip", or "llm" for the teacher's T5."""
    prompts: str
    ensemble: str
    protocol: str
    frames: str
    untrained: bool
    labels_of: str = ""
    """When the labels were read (UTC, ISO 8601), where they could not be read again; empty where they are as now."""

    @property
    def head_label(self) -> str:
        """Human-readable, without the seed; the objective is named where it is not the usual one."""
        if self.head == "none":
            return "plain CLIP" if self.image == "clip" else f"LLM alone · {self.instruction}"
        objective = "" if self.objective == "infonce" else f", {self.objective}"
        sides = f" · image {self.image}, text {self.text}" if self._sides else ""
        instruction = f" · {self.instruction}" if self.instruction else ""
        return f"{self.head} head{objective}{instruction}{sides}"

    @property
    def _sides(self) -> tuple[str, ...]:
        """What tells comparisons with the teacher's side apart; nothing for CLIP's two towers."""
        return () if self.image == self.text == "clip" else (f"{self.image}-{self.text}", self.instruction)

    @property
    def seed_label(self) -> str:
        """Human-readable, with the seed."""
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
    return short_name("-".join(map(file_safe, parts)))


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


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All scores of a sweep, and the predictions behind them."""

    scores: list[Score]
    predictions: list[Predictions]


def scores_of(
    predictions: Predictions, failed: np.ndarray, with_intervals: bool = False, plain: np.ndarray | None = None
) -> list[Score]:
    """One score; for a data set with folds one per fold, and their plain mean.

    `failed` are the numbers of samples that were left out; `plain` the classes (n,) that CLIP predicts without a
    head, where intervals of a gain over it are wanted.
    """
    manifest = predictions.manifest
    folds = sorted(set(manifest.folds.tolist()))
    per_fold = [_score_fold(predictions, failed, with_intervals, plain, fold) for fold in folds]
    if folds == [NO_FOLD]:
        return per_fold
    everything = np.ones(len(predictions.samples), dtype=bool)
    certainty = _certainty(predictions, plain, everything) if with_intervals else None
    return [*per_fold, replace(mean_over_folds(per_fold), certainty=certainty)]


def _score_fold(
    predictions: Predictions, failed: np.ndarray, with_intervals: bool, plain: np.ndarray | None, fold: int
) -> Score:
    manifest = predictions.manifest
    here = manifest.folds[predictions.samples] == fold
    truth = manifest.labels[predictions.samples[here]]
    confusion = confusion_matrix(truth, predictions.predicted[here], len(manifest.classes))
    n_failed = int((manifest.folds[failed] == fold).sum())
    name = str(fold) if fold != NO_FOLD else ALL
    found = score(predictions.of, name, manifest.classes, confusion, n_failed)
    return replace(found, certainty=_certainty(predictions, plain, here)) if with_intervals else found


def _certainty(predictions: Predictions, plain: np.ndarray | None, here: np.ndarray) -> Certainty | None:
    """How certain the scores of some samples (n,) are, or the mean of their folds' scores."""
    if not here.any():
        return None
    manifest, chosen = predictions.manifest, predictions.samples[here]
    truth, folds, predicted = manifest.labels[chosen], manifest.folds[chosen], predictions.predicted[here]
    gain = None if plain is None else paired_difference(truth, plain[here], predicted, folds)
    return Certainty(score_interval(truth, predicted, folds), gain)
