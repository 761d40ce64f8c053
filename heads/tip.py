"""Tip-Adapter: labelled samples as a cache of keys, whose answers are added to what prompts say.

Scores are 100 f·t + α Σ_i exp(−β (1 − f·f_i)) y_i for unit vectors f of a sample, t of a class's prompts and f_i of
the keys, with one-hot y_i. The authors' keys are the means of ten augmented passes over an image; a cache holds one
pass, so that a key is one. α and β are searched on their grid, by what was held out and never by test samples.
Source: Zhang et al., ECCV 2022.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..errors import ExpclipError
from ..scoring.cosines import are_finite, unit
from ..scoring.metrics import confusion_matrix
from ..scoring.samples import Samples
from .kinds import LabelledSamples, Progress, Trainer, refuse_shapes
from .recipe import LOGIT_SCALE, Recipe
from .validated import metric_of, one_thread

FIRST_ALPHA, FIRST_BETA = 3.0, 1.0
"""Before they are searched."""
ALPHAS = tuple(0.1 + (5 - 0.1) * step / 20 for step in range(20))
BETAS = tuple(0.1 + (12 - 0.1) * step / 200 for step in range(200))
_VALUES = 1 << 24
"""Affinities that are held at once: what bounds the memory."""


class TipAdapter:
    """What a cache of keys says of samples; `text_scale` times the cosines of prompts are added to it."""

    text_scale = LOGIT_SCALE

    def __init__(self, keys: np.ndarray, labels: np.ndarray, classes: tuple[str, ...], alpha: float, beta: float):
        self.keys_, self.labels_, self.classes = np.asarray(keys, dtype=np.float32), labels, tuple(classes)
        self.alpha_, self.beta_ = alpha, beta
        self.losses_: list[float] = []

    @property
    def width(self) -> int:
        """L, of the embeddings that it takes."""
        return self.keys_.shape[1]

    def tensors(self) -> dict[str, np.ndarray]:
        """What a file keeps of it."""
        numbers = {"labels": self.labels_.astype(np.float32), "alpha_beta": np.array([self.alpha_, self.beta_])}
        return {"keys": self.keys_} | numbers

    def class_scores(self, samples: Samples) -> np.ndarray:
        """(n, classes) float64: α Σ_i exp(−β (1 − f·f_i)) y_i."""
        scores = np.empty((len(samples), len(self.classes)))
        start = 0
        with np.errstate(all="ignore"):  # what comes of it is looked at
            for near in self._affinities(unit(samples.means)):
                scores[start : start + len(near)] = self.alpha_ * self._answers(near, self.beta_)
                start += len(near)
        return scores

    def search(self, content: LabelledSamples, progress: Progress | None) -> None:
        """Choose α and β by how well they predict some samples; the first of several that are as good."""
        (f, text), classes = directions_of(content), len(self.classes)
        counts = np.zeros((len(BETAS), len(ALPHAS), classes, classes), dtype=np.int64)
        start = 0
        for near in self._affinities(f):
            some = slice(start, start + len(near))
            start += len(near)
            for step, beta in enumerate(BETAS):
                answers = self._answers(near, beta)
                for place, alpha in enumerate(ALPHAS):
                    predicted = (self.text_scale * text[some] + alpha * answers).argmax(axis=1)
                    counts[step, place] += confusion_matrix(content.labels[some], predicted, classes)
            if progress:
                progress(start, len(f))
        found = np.array([[metric_of(content)(one) for one in row] for row in counts])
        step, place = np.unravel_index(found.argmax(), found.shape)
        self.alpha_, self.beta_ = ALPHAS[place], BETAS[step]

    def _affinities(self, f: np.ndarray) -> Iterator[np.ndarray]:
        """f·f_i (k, keys) float64 of unit vectors f (n, L), some at a time."""
        keys, some = self.keys_.astype(np.float64).T, max(1, _VALUES // len(self.keys_))
        return (f[start : start + some] @ keys for start in range(0, len(f), some))

    def _answers(self, near: np.ndarray, beta: float) -> np.ndarray:
        """(k, classes) from f·f_i (k, keys)."""
        return np.exp(-beta * (1 - near)) @ (self.labels_[:, None] == np.arange(len(self.classes)))


def directions_of(content: LabelledSamples) -> tuple[np.ndarray, np.ndarray]:
    """f (n, L), and f·t (n, classes), float64. Raises ExpclipError for embeddings that have no direction."""
    assert content.texts is not None
    with np.errstate(all="ignore"):  # what comes of it is looked at
        f = unit(content.samples.means)
    if not are_finite(f):
        raise ExpclipError("embeddings to learn from have no direction, or are no finite numbers: extract them again")
    return f, f @ content.texts.T


def _fit(content: LabelledSamples, recipe: Recipe, progress: Progress | None) -> TipAdapter:
    assert content.validation is not None
    f, _ = directions_of(content)
    head = TipAdapter(f, content.labels, content.classes, FIRST_ALPHA, FIRST_BETA)
    with one_thread():
        head.search(content.validation, progress)
    return head


def _fit_keys(content: LabelledSamples, recipe: Recipe, progress: Progress | None) -> TipAdapter:
    from .tip_training import trained_keys

    assert content.validation is not None
    keys, losses = trained_keys(content, recipe, progress)
    head = TipAdapter(keys, content.labels, content.classes, FIRST_ALPHA, FIRST_BETA)
    with one_thread():
        head.search(content.validation, None)
    head.losses_ = losses
    return head


def _load(tensors: Mapping[str, np.ndarray], spec: Mapping[str, Any]) -> TipAdapter:
    labels, classes = tensors["labels"].astype(np.int64), tuple(spec["classes"])
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(classes):
        raise ValueError(f"its keys are of other classes than the {len(classes)} that its card names")
    alpha, beta = tensors["alpha_beta"].tolist()
    return TipAdapter(tensors["keys"], labels, classes, alpha, beta)


def _refuse_others(tensors: Mapping[str, np.ndarray]) -> None:
    shape = np.shape(tensors["keys"])
    shape = shape if len(shape) == 2 else ("keys", "L")
    refuse_shapes(tensors, {"keys": shape, "labels": shape[:1], "alpha_beta": (2,)})


_SEARCHED = {"alphas": [ALPHAS[0], 5.0, len(ALPHAS)], "betas": [BETAS[0], 12.0, len(BETAS)], "passes": 1}
TRAINING = {"optimiser": "adamw", "lr": 1e-3, "eps": 1e-4, "weight_decay": 0.01, "epochs": 20, "batch_size": 256}
PLAIN = Trainer(_fit, _load, _refuse_others, settings=_SEARCHED)
TRAINED = Trainer(_fit_keys, _load, _refuse_others, settings=_SEARCHED | {"training": TRAINING})
