"""The linear head of Exp-CLIP: one matrix. Loading and applying it needs numpy alone; `linear_fit` trains it."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import cached_property
from typing import Any

import numpy as np

from ..scoring.cosines import cosines
from ..scoring.samples import Samples
from .kinds import Progress, Trainer, refuse_shapes
from .pairs import TeacherPairs
from .recipe import Recipe


class LinearHead:
    """Projects CLIP's embeddings into the teacher's space: P(x) = W x, without bias.

    Follows scikit-learn's habits: parameters in the constructor, `fit`, `transform`, results with a trailing
    underscore. The parameters are the fields of `Recipe`: objective, epochs, batch_size, lr, momentum, weight_decay,
    logit_scale, seed, precision, device. `weight_` is (L', L) float32, `losses_` the mean loss of each epoch,
    `step_losses_` that of each step. Every random choice comes from one CPU generator: first the initial weights,
    then one permutation an epoch.
    """

    def __init__(self, **options: Any):
        self.recipe = Recipe(**options)

    @classmethod
    def from_weight(cls, weight: np.ndarray) -> "LinearHead":
        """A fitted head from its matrix (L', L)."""
        head = cls()
        head.weight_ = np.ascontiguousarray(weight, dtype=np.float32)
        head.losses_, head.step_losses_ = [], []
        return head

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray], spec: Mapping[str, Any] | None = None) -> "LinearHead":
        """A fitted head from what `tensors` gave."""
        return cls.from_weight(tensors["weight"])

    def tensors(self) -> dict[str, np.ndarray]:
        """What a file keeps of it."""
        return {"weight": self.weight_}

    def fit(self, X: np.ndarray, E: np.ndarray, progress: Progress | None = None) -> "LinearHead":
        """Align P(x) with the teacher: X (n, L) image embeddings, E (n, L') teacher embeddings, row by row.

        `progress(done, total)` is called after every step. Raises UsageError for what is no pairs of finite numbers
        and where there are fewer rows than a batch, ExpclipError where the loss stops being a number.
        """
        return self.learn(TeacherPairs(X, E), progress)

    def learn(self, pairs: TeacherPairs, progress: Progress | None = None) -> "LinearHead":
        """As `fit`, from pairs that several heads learn from."""
        from .linear_fit import fitted

        weight, losses = fitted(self.recipe, pairs, progress)
        self.weight_: np.ndarray = weight
        self.losses_: list[float] = losses.of_epochs
        self.step_losses_: list[float] = losses.of_steps
        self.__dict__.pop("_gram", None)
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """(n, L) embeddings of images or texts to (n, L'), not normalised; in float64 where X is, else in float32."""
        X = np.asarray(X)
        dtype = np.float64 if X.dtype == np.float64 else np.float32
        return X.astype(dtype, copy=False) @ self.weight_.astype(dtype, copy=False).T

    @cached_property
    def _gram(self) -> np.ndarray:
        """WᵀW (L, L) float32: the length of a projected embedding needs nothing of length L'."""
        return self.weight_.T @ self.weight_

    def project(self, samples: Samples) -> np.ndarray:
        """(n, L') of samples: the mean over frames is taken before the matrix, which is the same and less work."""
        return self.transform(samples.means)

    def pooled(self, samples: Samples) -> Iterator[np.ndarray]:
        """(n, L): the mean over frames. A product of W x with a direction is one of x with Wᵀ times the direction."""
        yield samples.means

    def directions(self, targets: np.ndarray) -> np.ndarray:
        """(m, L) float64 of (m, L')."""
        return targets @ self.weight_.astype(np.float64)

    def lengths(self, pooled: np.ndarray) -> np.ndarray:
        """(n,) lengths of W x for embeddings x (n, L)."""
        return np.sqrt(np.einsum("nl,nl->n", pooled @ self._gram, pooled))

    def similarity(self, samples: Samples | np.ndarray, texts: np.ndarray) -> np.ndarray:
        """Cosines (n, m) of projected samples, or image embeddings (n, L), and text embeddings (m, L)."""
        return cosines(self, samples, texts)


def square(weight: np.ndarray) -> np.ndarray:
    """A (min(L, L'), L) float64 with AᵀA = WᵀW for W (L', L): a head with A gives the same cosines as one with W.

    It is the triangular factor of W's QR decomposition, which unlike a Cholesky factor of WᵀW needs no full rank.
    """
    return np.asarray(np.linalg.qr(np.asarray(weight, dtype=np.float64), mode="r"))


def _fit(pairs: TeacherPairs, recipe: Recipe, progress: Progress | None) -> LinearHead:
    return LinearHead(**asdict(recipe)).learn(pairs, progress)


def refuse_others(tensors: Mapping[str, np.ndarray]) -> None:
    """Raise ValueError for tensors that are not one matrix."""
    shape = np.shape(tensors["weight"])
    refuse_shapes(tensors, {"weight": shape if len(shape) == 2 else ("L'", "L")})


TRAINER = Trainer(_fit, LinearHead.from_tensors, refuse_others)
