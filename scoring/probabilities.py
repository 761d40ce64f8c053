"""From scores to probabilities."""

from typing import Any

import numpy as np

_TEMPERATURES = (1e-3, 1e3)
"""Between which one is looked for."""


def softmax(logits: np.ndarray) -> np.ndarray:
    """(..., classes) float64 that sum to one; a class whose logit is -inf has none."""
    exact = np.asarray(logits, dtype=np.float64)
    shares = np.exp(exact - exact.max(axis=-1, keepdims=True))
    return shares / shares.sum(axis=-1, keepdims=True)


def together(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """(n, classes) the mean over heads of their probabilities, from logits (heads, n, classes)."""
    return softmax(np.asarray(logits, dtype=np.float64) / temperature).mean(axis=0)


def fitted_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature under which labelled samples are most likely, from logits (heads, n, classes).

    It divides all logits, so that no prediction of a single head changes. Source: Guo et al., 2017, section 4.2.
    """
    from scipy.optimize import minimize_scalar

    def surprise(exponent: float) -> float:
        of_labels = together(logits, float(np.exp(exponent)))[np.arange(len(labels)), labels]
        return -float(np.log(np.maximum(of_labels, 1e-300)).mean())

    found: Any = minimize_scalar(surprise, bounds=tuple(np.log(_TEMPERATURES)), method="bounded")
    return float(np.exp(found.x))
