"""The linear head in closed form: the minimum of the squared error plus a penalty on the weights.

W minimises (1/n) Σ ‖W xᵢ − eᵢ‖² + λ ‖W‖² with neither side normalised: the objective `mse` at its minimum. λ is a
share of the mean eigenvalue of (1/n) XᵀX, λ = share · tr(XᵀX) / (n L), so that a share means the same for embeddings
of any length. At λ = 0 this is least squares; where the embeddings do not span all L dimensions, the W of smallest
norm.
"""

from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np

from ..errors import ExpclipError, UsageError, option
from .kinds import Progress, Trainer
from .linear import LinearHead, refuse_others
from .pairs import TeacherPairs
from .recipe import Recipe

_ROWS = 4096
"""Rows taken at once: what bounds the memory for copies in float64."""


@dataclass(frozen=True, eq=False)
class Sums:
    """All that a ridge regression needs of some pairs of embeddings, in float64; sums of parts add up."""

    rows: int
    xx: np.ndarray
    """XᵀX (L, L)."""
    xe: np.ndarray
    """XᵀE (L, L')."""
    ee: float
    """‖E‖², which only the error needs."""

    @classmethod
    def of(cls, X: np.ndarray, E: np.ndarray) -> "Sums":
        """The sums of X (n, L) and E (n, L'), which are held in float64 meanwhile."""
        x, e = np.asarray(X, dtype=np.float64), np.asarray(E, dtype=np.float64)
        return cls(len(x), x.T @ x, x.T @ e, float(np.square(e).sum()))

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(self.rows + other.rows, self.xx + other.xx, self.xe + other.xe, self.ee + other.ee)

    def solve(self, share: float) -> np.ndarray:
        """W (L', L) float64 for λ as a share of the mean eigenvalue."""
        values, vectors = np.linalg.eigh(self.xx)
        penalised = values + share * values.mean()
        seen = penalised > values[-1] * max(self.rows, len(values)) * np.finfo(np.float64).eps
        basis = vectors[:, seen]
        return (basis @ ((basis.T @ self.xe) / penalised[seen, None])).T

    def error(self, weight: np.ndarray) -> float:
        """Squared error of a W (L', L), summed over L' and averaged over the rows."""
        fitted = np.vdot(weight @ self.xx, weight) - 2 * np.vdot(weight.T, self.xe)
        return max(0.0, float(self.ee + fitted)) / self.rows


def fit_ridge(X: np.ndarray, E: np.ndarray, recipe: Recipe, progress: Progress | None = None) -> LinearHead:
    """The linear head of least penalised squared error for X (n, L) and E (n, L'), in one pass over the rows.

    λ is `recipe.ridge_lambda` times the mean eigenvalue of (1/n) XᵀX; nothing is drawn at random. `losses_` has one
    value: the squared error without the penalty. Raises UsageError for what is no pairs of finite
    numbers, ExpclipError where no weights follow from them.
    """
    return _fitted(TeacherPairs(X, E), recipe, progress)


def _fitted(pairs: TeacherPairs, recipe: Recipe, progress: Progress | None) -> LinearHead:
    pairs.refuse_not_finite()
    if not 0 <= recipe.ridge_lambda < np.inf:
        raise UsageError(f"{option('ridge_lambda')} {recipe.ridge_lambda}: give a share of 0 or more")
    rows = pairs.block_rows(_ROWS)
    blocks = -(-len(pairs.images) // rows)

    def part(done: int, block: tuple[np.ndarray, np.ndarray]) -> Sums:
        if progress:
            progress(done, blocks)
        return Sums.of(*block)

    total = reduce(add, map(part, range(1, blocks + 1), pairs.blocks(rows)))
    weight = total.solve(recipe.ridge_lambda)
    if not np.isfinite(weight.astype(np.float32)).all() or not weight.any():
        raise ExpclipError("X and E determine no head: their numbers are too large, too small or all zero")
    head = LinearHead.from_weight(weight)
    head.losses_ = [total.error(weight)]
    return head


TRAINER = Trainer(_fitted, LinearHead.from_tensors, refuse_others)
