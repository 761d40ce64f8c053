"""Scores from a confusion matrix."""

import numpy as np


def confusion_matrix(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """(classes, classes) counts: row is the true class, column the predicted one, both as indices.

    All classes are named, so that one which is predicted but never true has its place.
    """
    counts = np.bincount(np.asarray(truth, dtype=np.int64) * classes + predicted, minlength=classes**2)
    return counts.reshape(classes, classes)


def recalls(confusion: np.ndarray) -> np.ndarray:
    """(classes,) recall of each class in 0 … 1, NaN for a class without a sample."""
    support = confusion.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.where(support > 0, confusion.diagonal() / np.maximum(support, 1), np.nan)


def uar(confusion: np.ndarray) -> float:
    """Unweighted average recall in percent, over the classes that have samples; NaN where none has."""
    present = recalls(confusion)
    present = present[~np.isnan(present)]
    return float(100 * present.mean()) if len(present) else float("nan")


def war(confusion: np.ndarray) -> float:
    """Weighted average recall in percent: the share of samples predicted right; NaN where there is none."""
    total = confusion.sum()
    return float(100 * confusion.trace() / total) if total else float("nan")
