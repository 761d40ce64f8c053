"""The linear probe: multinomial logistic regression on embeddings as they are, of a clip on the mean of its frames.

C is searched as CoOp's `lpclip` does: a coarse grid, then halvings of the interval around its best, each judged by
what was held out. scikit-learn is needed to fit one; loading and applying it needs numpy alone.
"""

import warnings
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ExpclipError
from ..scoring.cosines import are_finite
from ..scoring.samples import Samples
from .kinds import LabelledSamples, Progress, Trainer, refuse_shapes
from .recipe import Recipe
from .validated import one_thread, quality

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

GRID = (1e6, 1e4, 1e2, 1.0, 1e-2, 1e-4, 1e-6)
HALVINGS = 8
ITERATIONS = 1000
_FITS = len(GRID) + HALVINGS + 2
"""How many there are in all, at most."""


class LinearProbe:
    """Scores of classes, W x + b."""

    gives_logits = True

    def __init__(self, weight: np.ndarray, bias: np.ndarray, c: float, classes: tuple[str, ...]):
        self.weight_, self.bias_, self.c_, self.classes = weight, bias, c, tuple(classes)
        self.losses_: list[float] = []

    @property
    def width(self) -> int:
        """L, of the embeddings that it takes."""
        return self.weight_.shape[1]

    def tensors(self) -> dict[str, np.ndarray]:
        """What a file keeps of it."""
        return {"weight": self.weight_, "bias": self.bias_, "c": np.array([self.c_])}

    def class_scores(self, samples: Samples) -> np.ndarray:
        """(n, classes) float64."""
        return samples.means.astype(np.float64) @ self.weight_.T + self.bias_


def searched(good: Callable[[float], float]) -> float:
    """The C whose goodness is best: of a coarse grid, then of the better end of an interval that is halved.

    Source: CoOp's lpclip/linear_probe.py, which halves the logarithm of C around the best of the grid.
    """
    best = max(GRID, key=good)  # the first of several that are as good
    low, high = np.log10(best) - 1, np.log10(best) + 1
    found = best
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if good(10.0**low) < good(10.0**high):
            low, found = middle, 10.0**high
        else:
            high, found = middle, 10.0**low
    return max((best, found), key=good)


def _fit(content: LabelledSamples, recipe: Recipe, progress: Progress | None) -> LinearProbe:
    assert content.validation is not None
    features, held_out = (one.samples.means.astype(np.float64) for one in (content, content.validation))
    if not are_finite(features):
        raise ExpclipError("embeddings to learn from are no finite numbers: extract them again")
    judge = quality(content.validation)

    @cache
    def fitted(c: float) -> "LogisticRegression":
        from sklearn.linear_model import LogisticRegression

        if progress:
            progress(fitted.cache_info().misses, _FITS)
        model = LogisticRegression(C=c, max_iter=ITERATIONS, class_weight="balanced" if content.balanced else None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # where C is large, the last of the iterations is taken, as lpclip does
            return model.fit(features, content.labels)

    with one_thread():
        c = searched(cache(lambda c: judge(np.asarray(fitted(c).predict(held_out)))))
        return _of_model(fitted(c), features, c, content)


def _of_model(model: "LogisticRegression", features: np.ndarray, c: float, content: LabelledSamples) -> LinearProbe:
    weight, bias = np.asarray(model.coef_), np.asarray(model.intercept_)
    if len(weight) == 1:  # of two classes it gives the second's scores, where the first's are zero
        weight, bias = np.concatenate([0 * weight, weight]), np.concatenate([0 * bias, bias])
    probe = LinearProbe(weight, bias, c, content.classes)
    likely = np.asarray(model.predict_log_proba(features))[np.arange(len(features)), content.labels]
    probe.losses_ = [float(-likely.mean())]
    return probe


def _load(tensors: Mapping[str, np.ndarray], spec: Mapping[str, Any]) -> LinearProbe:
    weight, bias = tensors["weight"].astype(np.float64), tensors["bias"].astype(np.float64)
    if len(weight) != len(spec["classes"]):
        raise ValueError(f"it has scores of {len(weight)} classes, and its card names {len(spec['classes'])}")
    return LinearProbe(weight, bias, float(tensors["c"][0]), tuple(spec["classes"]))


def _refuse_others(tensors: Mapping[str, np.ndarray]) -> None:
    shape = np.shape(tensors["weight"])
    shape = shape if len(shape) == 2 else ("classes", "L")
    refuse_shapes(tensors, {"weight": shape, "bias": shape[:1], "c": (1,)})


TRAINER = Trainer(
    _fit,
    _load,
    _refuse_others,
    settings={"solver": "lbfgs", "iterations": ITERATIONS, "grid": list(GRID), "halvings": HALVINGS},
)
