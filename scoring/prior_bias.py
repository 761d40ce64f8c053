"""The bias of each class with which the mean prediction is a given prior."""

from collections.abc import Iterator

import numpy as np

from ..errors import ExpclipError

TOLERANCE = 1e-10
"""How far the mean prediction of a class may be from its prior, as a part of the prior, where the search ends."""
_ACCEPTED = 1e-8
"""The same where rounding lets it come no nearer."""
_ON_THE_WAY = 1e-2
"""The same while logits are still made smoother than they are."""
_SMOOTH = 50.0
"""Logits that differ by less are matched at once; others by way of smoother ones, halving how smooth they are."""
_STEPS = 1000


def matched_bias(logits: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """(classes,) b, of sum zero, with which the mean over samples of softmax(logits + b) is the prior.

    `logits` are (n, classes) finite numbers with n > 0, `prior` (classes,) positive numbers of sum one. b is the
    minimiser of mean log Σ exp(logits + b) - prior · b, which is convex, and strictly so but for a constant in b: it
    is there, and is the only one. Raises ExpclipError where rounding does not let it come near.
    """
    logits = logits - logits.max(axis=1, keepdims=True)
    spread, bias, miss = -float(logits.min()), np.zeros(len(prior)), np.inf
    for temperature in _temperatures(spread):
        tolerance = TOLERANCE if temperature == 1 else _ON_THE_WAY
        bias, miss = _searched(logits / temperature, prior, bias / temperature, tolerance)
        bias = temperature * (bias - bias.mean())
    if not miss <= _ACCEPTED:
        raise ExpclipError(
            f"the mean prediction cannot be made to match the prior: the scores of a sample differ by up to "
            f"{spread:.3g}, too much for probabilities to follow from them"
        )
    return bias


def _temperatures(spread: float) -> Iterator[float]:
    """Those that logits are divided by in turn; last 1."""
    temperature = 2.0 ** np.ceil(np.log2(max(spread / _SMOOTH, 1)))
    while temperature > 1:
        yield temperature
        temperature /= 2
    yield 1.0


def _searched(logits: np.ndarray, prior: np.ndarray, bias: np.ndarray, tolerance: float) -> tuple[np.ndarray, float]:
    """The bias at the end of a search, and how far the mean prediction then is from the prior, as a part of it.

    By Newton's steps, which are shortened by a damping where they do not lead down (Levenberg and Marquardt).
    """
    (value, p), damping = _at(logits, prior, bias), 1e-3
    for _ in range(_STEPS):
        slope = p.mean(axis=0) - prior
        if np.abs(slope / prior).max() <= tolerance:
            break
        step = -np.linalg.solve(_curvature(p) + damping * np.diag(prior), slope)
        there, p_there = _at(logits, prior, bias + step)
        goes_on_down = step @ (p_there.mean(axis=0) - prior) <= 0  # as rounding hides from the value near its end
        if there < value or goes_on_down:
            bias, value, p = bias + step, there, p_there
            damping = max(damping / 10, 1e-14)
        else:
            damping *= 4
    return bias, float(np.abs(p.mean(axis=0) / prior - 1).max())


def _curvature(p: np.ndarray) -> np.ndarray:
    """(classes, classes) second derivatives; those along a constant in b, which changes nothing, are made one."""
    return np.diag(p.mean(axis=0)) - p.T @ p / len(p) + 1 / p.shape[1]


def _at(logits: np.ndarray, prior: np.ndarray, bias: np.ndarray) -> tuple[float, np.ndarray]:
    """What is to be minimised, and (n, classes) probabilities."""
    moved = logits + bias
    highest = moved.max(axis=1, keepdims=True)
    p = np.exp(moved - highest)
    total = p.sum(axis=1, keepdims=True)
    return float((np.log(total) + highest).mean() - prior @ bias), p / total
