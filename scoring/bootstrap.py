"""How certain a score is, and a difference of two scores on the same samples.

A bootstrap that resamples within each class, whose number of samples is fixed by the test set. Of resampled samples
only the counts of their outcomes matter, so these are drawn at once, from a multinomial distribution a class.
Source: Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapters 6 and 13.
"""

from dataclasses import dataclass

import numpy as np

DRAWS = 2000
_OUTCOMES = 4
"""Of two predictions: both wrong, only the second right, only the first right, both right."""
_GAIN = np.array((0.0, 1.0, -1.0, 0.0))
_NEVER_RIGHT = -1
"""What a score is compared with to be a difference: a prediction of no class."""


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % percentile interval, in percentage points."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Intervals:
    """Those of UAR and WAR, or of a gain in them."""

    uar: Interval
    war: Interval


def score_interval(
    truth: np.ndarray, predicted: np.ndarray, folds: np.ndarray | None = None, seed: int = 0, draws: int = DRAWS
) -> Intervals:
    """How certain the scores of a prediction are; arguments, folds and errors as in `paired_difference`."""
    return paired_difference(truth, np.full_like(truth, _NEVER_RIGHT), predicted, folds, seed, draws)


def paired_difference(
    truth: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    folds: np.ndarray | None = None,
    seed: int = 0,
    draws: int = DRAWS,
) -> Intervals:
    """The second of two predictions (n,) less the first, on the same samples with true classes (n,), all as indices.

    With `folds` (n,) the value is the plain mean over folds, and each fold is resampled by itself. Raises ValueError
    where there is no sample.
    """
    if not len(truth):
        raise ValueError("there is no sample to compare predictions on")
    folds = np.zeros_like(truth) if folds is None else folds
    outcome = 2 * (first == truth) + (second == truth)
    rng = np.random.default_rng(seed)
    parts = [_gains(truth[folds == fold], outcome[folds == fold], rng, draws) for fold in np.unique(folds)]
    seen, drawn = (np.mean(part, axis=0) for part in zip(*parts, strict=True))
    low, high = np.percentile(drawn, (2.5, 97.5), axis=0)
    return Intervals(*(Interval(*map(float, bounds)) for bounds in zip(seen, low, high, strict=True)))


def _gains(
    truth: np.ndarray, outcome: np.ndarray, rng: np.random.Generator, draws: int
) -> tuple[np.ndarray, np.ndarray]:
    """The gain in UAR and WAR in percentage points: (2,) as seen, and (draws, 2) as drawn."""
    counts = np.array([np.bincount(outcome[truth == label], minlength=_OUTCOMES) for label in np.unique(truth)])
    support = counts.sum(axis=1)
    drawn = np.stack([rng.multinomial(n, of / n, draws) for n, of in zip(support, counts, strict=True)], axis=1)
    shares = np.stack([1 / (len(support) * support), np.full(len(support), 1 / support.sum())], axis=1)
    return 100 * (counts @ _GAIN) @ shares, 100 * (drawn @ _GAIN) @ shares
