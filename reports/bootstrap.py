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


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % percentile interval, in percentage points."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """The second of two predictions less the first, on the same samples."""

    uar: Interval
    war: Interval


def paired_difference(
    truth: np.ndarray, first: np.ndarray, second: np.ndarray, seed: int = 0, draws: int = DRAWS
) -> Difference:
    """Compare two predictions (n,) of the same samples with true classes (n,), all class indices.

    Raises ValueError where there is no sample.
    """
    if not len(truth):
        raise ValueError("there is no sample to compare predictions on")
    outcome = 2 * (first == truth) + (second == truth)
    present = np.unique(truth)
    counts = np.array([np.bincount(outcome[truth == label], minlength=_OUTCOMES) for label in present])
    gain = np.array((0.0, 1.0, -1.0, 0.0))
    support = counts.sum(axis=1)
    rng = np.random.default_rng(seed)
    drawn = np.stack([rng.multinomial(n, of / n, draws) for n, of in zip(support, counts, strict=True)], axis=1)
    return Difference(*(_interval(counts @ gain, drawn @ gain, support, unweighted) for unweighted in (True, False)))


def _interval(gains: np.ndarray, drawn: np.ndarray, support: np.ndarray, unweighted: bool) -> Interval:
    """The interval of a difference of recalls: gains (classes,) as seen and (draws, classes) as drawn."""
    share = 1 / (len(support) * support) if unweighted else np.full(len(support), 1 / support.sum())
    low, high = np.percentile(100 * drawn @ share, (2.5, 97.5))
    return Interval(float(100 * gains @ share), float(low), float(high))
