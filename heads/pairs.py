"""What heads learn from a teacher: embeddings of the same images, row by row, looked at before fitting begins."""

import numpy as np

from ..errors import UsageError, reason

ROWS = 8192
"""Looked at at once."""
_FLOATS = (np.float16, np.float32, np.float64)


def as_pairs(X: np.ndarray, E: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """X (n, L) and E (n, L') as arrays of real numbers. Raises UsageError where they are none, or not as many rows.

    Whether the numbers are finite is not looked at: that takes as long as reading them.
    """
    pairs = {"X": X, "E": E}
    for name, given in pairs.items():
        try:
            array = np.asarray(given)
        except (ValueError, TypeError, RuntimeError) as error:  # ragged lists, tensors on other devices
            raise UsageError(f"{name} is not an array of numbers ({reason(error)})") from error
        if array.dtype.kind not in "fiu":
            raise UsageError(f"{name} holds {array.dtype} values: give real numbers")
        pairs[name] = np.ascontiguousarray(array, None if array.dtype in _FLOATS else np.float32)
        if array.ndim != 2 or array.shape[1] == 0:
            raise UsageError(f"{name} has the shape {array.shape}: give (n, length of an embedding)")
    X, E = pairs["X"], pairs["E"]
    if len(X) != len(E) or len(X) == 0:
        raise UsageError(f"X has {len(X)} rows and E has {len(E)}: they must be the same images, one or more")
    return X, E


def refuse_not_finite(name: str, array: np.ndarray) -> None:
    """Raise UsageError where some rows of an array (n, L) are not finite in float32, or in float16 where it is."""
    for first in range(0, len(array), ROWS):
        rows = array[first : first + ROWS]
        with np.errstate(over="ignore"):
            bad = ~np.isfinite(rows.astype(np.float32) if rows.dtype == np.float64 else rows).all(axis=1)
        if bad.any():
            raise not_finite(name, first + int(bad.argmax()))


def not_finite(name: str, row: int) -> UsageError:
    """What is raised where a row of X or E is not finite."""
    return UsageError(f"{name} has NaN, infinite or too large numbers (the first in row {row}): leave these out")
