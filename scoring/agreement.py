"""What several methods predict for the same samples, beside what the first of them does."""

import numpy as np

REPAIRED, BROKEN, OTHERWISE, ALIKE = "repaired", "broken", "wrong in another way", "predicted alike"
KINDS = (REPAIRED, BROKEN, OTHERWISE, ALIKE)
"""The first is wrong and another one right; the first is right and another one wrong; all are wrong, and not all in
the same way; all predict the same."""


def agreement(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(n,) which of KINDS each sample is, from its class (n,) and what each method predicts (methods, n)."""
    is_right = predicted == truth
    is_alike = (predicted == predicted[0]).all(axis=0)
    return np.select([is_alike, is_right[0], is_right.any(axis=0)], [ALIKE, BROKEN, REPAIRED], OTHERWISE)
