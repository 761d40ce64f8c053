"""How far probabilities can be relied on: of what is predicted with some confidence, that share should be right."""

from dataclasses import dataclass

import numpy as np

from .probabilities import softmax

BINS = 10
"""Of confidences, equally wide."""


def probabilities(similarity: np.ndarray, scale: float) -> np.ndarray:
    """(n, classes) softmax of scaled cosines, as CLIP reads them."""
    return softmax(scale * similarity)


@dataclass(frozen=True, eq=False)
class Reliability:
    """What a prediction is worth by its confidence: its bins that hold samples."""

    confidence: np.ndarray
    """(bins,) mean probability of the predicted class, in 0 … 1."""
    accuracy: np.ndarray
    """(bins,) share that is right, in 0 … 1."""
    counts: np.ndarray
    """(bins,) samples."""

    @property
    def error(self) -> float:
        """The expected calibration error in percent: the mean gap between confidence and accuracy, over samples."""
        return float(100 * np.average(np.abs(self.confidence - self.accuracy), weights=self.counts))


def reliability(confidence: np.ndarray, right: np.ndarray) -> Reliability:
    """Of confidences (n,) in 0 … 1 and what is right (n,). Source: Guo et al., 2017, section 2.

    Raises ValueError where there is no sample.
    """
    if not len(confidence):
        raise ValueError("there is no sample whose confidence is known")
    places = np.clip((confidence * BINS).astype(int), 0, BINS - 1)
    counts = np.bincount(places, minlength=BINS)
    some = counts > 0
    mean, share = (np.bincount(places, weights=of, minlength=BINS)[some] / counts[some] for of in (confidence, right))
    return Reliability(mean, share, counts[some])
