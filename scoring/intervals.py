"""How certain a score is, and a gain over another prediction of the same samples: 95 % intervals in closed form.

UAR and WAR are sums Σ w p over strata, the classes of each fold: p is the recall of a stratum, w its weight, and its
number of samples n is fixed by the test set. The variance of a score is estimated, without bias, as
Σ w² p (1 − p) / (n − 1).

* Of a score: Wilson's interval for a share t, which holds near 0 and 1 too, with the number of samples that would
  give a plain share the same variance, t (1 − t) / variance. Source: Wilson, 1927; Dean & Pagano, 2015.
* Of a gain: the normal interval once half a sample a way, won and lost, is added to each score, a part to every
  stratum. Source: Agresti & Min, 2005.

`tests/scoring/test_intervals.py` shows by simulation how often they hold the truth.
"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

METHOD = "wilson / agresti-min"
"""What `scores.csv` calls how the intervals of a score and of a gain are found."""
_Z = NormalDist().inv_cdf(0.975)
_ADDED = 0.5


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval, in percentage points."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Intervals:
    """Those of UAR and WAR, or of a gain in them."""

    uar: Interval
    war: Interval


@dataclass(frozen=True)
class Strata:
    """The classes of each fold that have samples."""

    places: np.ndarray
    """(n,) the stratum of each sample."""
    sizes: np.ndarray
    """(strata,) how many samples each has."""
    weights: tuple[np.ndarray, np.ndarray]
    """(strata,) what a recall counts for in UAR and in WAR, both the plain mean over folds."""

    @classmethod
    def of(cls, truth: np.ndarray, folds: np.ndarray | None = None) -> "Strata":
        """Of samples with true classes (n,) as indices, and with folds (n,): scores are then plain means over folds.

        Raises ValueError where there is no sample.
        """
        if not len(truth):
            raise ValueError("there is no sample to compare predictions on")
        folds = np.zeros_like(truth) if folds is None else folds
        strata, places, sizes = np.unique([folds, truth], axis=1, return_inverse=True, return_counts=True)
        fold = np.unique(strata[0], return_inverse=True)[1]
        classes, samples = np.bincount(fold), np.bincount(fold, weights=sizes)
        return cls(places, sizes, (1 / (classes[fold] * len(classes)), sizes / (samples[fold] * len(classes))))

    def count(self, which: np.ndarray) -> np.ndarray:
        """(strata,) of how many samples something (n,) is true."""
        return np.bincount(self.places[which], minlength=len(self.sizes))


def score_interval(strata: Strata, right: np.ndarray) -> Intervals:
    """How certain the scores of a prediction are, of which samples (n,) are right."""
    counts = strata.count(right)
    return _intervals(strata, counts / strata.sizes, lambda weights: score_bounds(counts, strata.sizes, weights))


def paired_difference(strata: Strata, was: np.ndarray, now: np.ndarray) -> Intervals:
    """The second of two predictions less the first, of which samples (n,) were right, and are."""
    won, lost = strata.count(now & ~was), strata.count(was & ~now)
    gains = (won - lost) / strata.sizes
    return _intervals(strata, gains, lambda weights: gain_bounds(won, lost, strata.sizes, weights))


def _intervals(
    strata: Strata, values: np.ndarray, bounds: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
) -> Intervals:
    found = [(weights @ values, *bounds(weights)) for weights in strata.weights]
    return Intervals(*(Interval(*(float(100 * number) for number in one)) for one in found))


def score_bounds(right: np.ndarray, sizes: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the interval of Σ w p, in 0 … 1, where `right` (…, strata) of `sizes` (strata,) samples are right."""
    recalls = right / sizes
    share = recalls @ weights
    variance = (recalls * (1 - recalls) / np.maximum(sizes - 1, 1)) @ weights**2
    of_equal_recalls = 1 / (weights**2 @ (1 / sizes))
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.where(variance > 0, share * (1 - share) / variance, of_equal_recalls)
    middle = share + _Z**2 / (2 * size)
    half = _Z * np.sqrt(np.maximum(share * (1 - share), 0) / size + _Z**2 / (4 * size**2))
    return (middle - half) / (1 + _Z**2 / size), (middle + half) / (1 + _Z**2 / size)


def gain_bounds(
    won: np.ndarray, lost: np.ndarray, sizes: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the interval of Σ w (won − lost) / n, in −1 … 1, for counts (…, strata) and sizes n (strata,)."""
    added = _ADDED / len(sizes)
    n = sizes + 2 * added
    gains = (won - lost) / n
    variance = (((won + lost + 2 * added) / n - gains**2) / n) @ weights**2
    half = _Z * np.sqrt(variance)
    return np.maximum(gains @ weights - half, -1), np.minimum(gains @ weights + half, 1)
