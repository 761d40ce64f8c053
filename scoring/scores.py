"""What is scored, what is predicted, and what the scores are."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..manifests.disk import file_safe, short_name
from ..manifests.manifest import NO_FOLD, Manifest
from .intervals import Intervals, Strata, paired_difference, score_interval
from .metrics import confusion_matrix, recalls, uar, war

ALL = "all"
"""The fold of a data set without folds."""
MEAN = "mean"
"""The fold of the plain mean over folds."""
PLAIN, OWN_HEAD, TOWER_ALONE = "plain CLIP", "own clip head", "image tower alone"
"""What a model is called that is scored without a head: one whose clips are the mean of their frames; another, which
makes one of them by a network of its own; and such a one on images, which that network is not for."""


@dataclass(frozen=True)
class Combination:
    """What was scored: which data, which backbone, which head, which prompts."""

    dataset: str
    backbone: str
    head: str
    """Kind of the head; "none" for a model as it is."""
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
    adapted: str = ""
    """"prior" or "center" where all test samples together were looked at, without their labels; else empty."""
    prior: str = ""
    """Of "prior": "uniform", or each class with its share."""
    only_folds: str = ""
    """The folds that alone are scored, as its head may score no others; empty where all are."""
    zero_shot: str = PLAIN
    """What the backbone is called without a head, over which gains are."""

    @property
    def head_label(self) -> str:
        """Human-readable, without the seed; the objective is named where it is not the usual one."""
        return f"{self._unadapted_label} · {self.adaptation}, transductive" if self.adapted else self._unadapted_label

    @property
    def adaptation(self) -> str:
        """Human-readable: how this is adapted."""
        return f"given {self.adapted}" if self.prior not in ("", "uniform") else self.adapted

    @property
    def _unadapted_label(self) -> str:
        if self.head == "none":
            return self.zero_shot if self.image == "clip" else f"LLM alone · {self.instruction}"
        objective = "" if self.objective == "infonce" else f", {self.objective}"
        sides = f" · image {self.image}, text {self.text}" if self._sides else ""
        instruction = f" · {self.instruction}" if self.instruction else ""
        folds = f" · fold {self.only_folds} alone" if self.only_folds else ""
        return f"{self.head} head{objective}{instruction}{sides}{folds}"

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
        adapted = (self.adapted,) if self.adapted else ()
        return _slug(self.dataset, self.backbone, self.head_id or "none", *self._sides, *adapted, self.prompts)

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
    """95 % intervals of a score, and of its gain over the backbone without a head on the same samples."""

    score: Intervals
    gain: Intervals | None
    """None for the backbone without a head itself, and where that cannot be had."""
    adaptation: Intervals | None = None
    """Of the gain over the same without adaptation; None where nothing is adapted."""


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

    @property
    def is_overall(self) -> bool:
        """Whether it is of all that was scored: of all samples, of the mean over folds, or of the only fold."""
        return self.fold in (ALL, MEAN, self.of.only_folds)


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
    predicted: np.ndarray
    """(n,) class indices."""
    similarity: np.ndarray | None
    """(n, classes) cosines, averaged over the prompts of each class; None where they were not asked for."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All scores of a sweep, and the predictions behind them where they were asked for."""

    scores: list[Score]
    predictions: list[Predictions]


@dataclass(frozen=True, eq=False)
class Part:
    """Samples with a score of their own: those of a fold, or all."""

    fold: str
    places: np.ndarray
    """(k,) among the samples that could be scored."""
    truth: np.ndarray
    """(k,) class indices."""
    n_failed: int
    """Samples of the part that could not be scored."""
    strata: Strata | None
    """None where there is no sample."""


def parts_of(manifest: Manifest, samples: np.ndarray, failed: np.ndarray, only: Collection[int] = ()) -> list[Part]:
    """All samples (n,) of a data set, by their numbers; where it has folds each fold, and last what is their mean.

    Where `only` some folds are scored it is these, and no mean of one.
    """
    folds, labels = manifest.folds[samples], manifest.labels[samples]
    numbers = sorted(only or set(manifest.folds.tolist()))
    parts = [
        _part(
            str(number) if number != NO_FOLD else ALL,
            np.flatnonzero(folds == number),
            labels,
            int((manifest.folds[failed] == number).sum()),
        )
        for number in numbers
    ]
    if numbers == [NO_FOLD] or len(only) == 1:
        return parts
    return [*parts, _part(MEAN, np.arange(len(samples)), labels, len(failed), folds)]


def _part(name: str, places: np.ndarray, labels: np.ndarray, n_failed: int, folds: np.ndarray | None = None) -> Part:
    truth = labels[places]
    return Part(name, places, truth, n_failed, Strata.of(truth, folds) if len(places) else None)


def scores_of(
    predictions: Predictions,
    parts: Sequence[Part],
    with_intervals: bool = False,
    plain: np.ndarray | None = None,
    unadapted: np.ndarray | None = None,
) -> list[Score]:
    """The score of each part of a data set.

    `plain` are the classes (n,) that CLIP predicts without a head, where intervals of a gain over it are wanted;
    `unadapted` those that are predicted without adaptation.
    """
    classes, found = predictions.manifest.classes, list[Score]()
    for part in parts:
        predicted = predictions.predicted[part.places]
        if part.fold == MEAN:
            one = mean_over_folds(found)
        else:
            confusion = confusion_matrix(part.truth, predicted, len(classes))
            one = score(predictions.of, part.fold, classes, confusion, part.n_failed)
        if with_intervals and part.strata is not None:
            right = predicted == part.truth
            gains = [_gain(part, over, right) for over in (plain, unadapted)]
            one = replace(one, certainty=Certainty(score_interval(part.strata, right), *gains))
        found.append(one)
    return found


def _gain(part: Part, over: np.ndarray | None, right: np.ndarray) -> Intervals | None:
    """Of what is right in a part over other predictions (n,) of all samples; None where there are none."""
    if over is None or part.strata is None:
        return None
    return paired_difference(part.strata, over[part.places] == part.truth, right)
