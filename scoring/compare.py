"""Comparing samples with prompts, by way of a head: similarities and predictions from arrays."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..errors import ExpclipError
from ..manifests.manifest import NO_LABEL, Clips, Manifest
from .by_fold import ByFold, text_scale
from .cosines import are_finite, unit
from .ensembles import ClassVectors, Directions
from .samples import Classifier, Head, Pooling, Samples
from .scores import Combination, Part, Predictions, parts_of

LABELS = "labels"
"""What stands for the prompt set where a head learnt from labels and needs none."""

_CLOSE = 1e-5
"""Of the lengths behind a product: how near to each other the two best classes of a sample may be in float32, whose
rounding is a few parts in a million, before they are compared in float64."""


@dataclass(frozen=True, eq=False)
class Scorable:
    """The samples of a data set that can be scored, with their embeddings.

    A sample with a row that could not be encoded is left out and counted.
    """

    manifest: Manifest
    samples: Samples
    numbers: np.ndarray
    """(n,) sample numbers in the manifest."""
    failed: np.ndarray
    """Numbers of the labelled samples that were left out."""
    only: tuple[int, ...] = ()
    """The folds that alone are scored; none are all."""

    @classmethod
    def of(
        cls, manifest: Manifest, features: np.ndarray, mask: np.ndarray, clips: Clips, pools: Pooling
    ) -> "Scorable":
        """From features (rows, L), and `mask` (rows,) that says which rows could be encoded."""
        readable = np.logical_and.reduceat(mask[clips.indices], clips.offsets[:-1])
        labelled = manifest.labels != NO_LABEL
        numbers = np.flatnonzero(readable & labelled)
        samples = Samples(features, clips.take(numbers), pools)
        return cls(manifest, samples, numbers, np.flatnonzero(~readable & labelled))

    @property
    def labels(self) -> np.ndarray:
        """(n,) class indices."""
        return self.manifest.labels[self.numbers]

    @cached_property
    def parts(self) -> list[Part]:
        """What has a score of its own: folds and their mean, or all samples."""
        return parts_of(self.manifest, self.numbers, self.failed, self.only)

    def within(self, folds: Collection[int]) -> "Scorable":
        """Those in some folds; itself where the data set has no others."""
        of_each = self.manifest.folds
        if np.isin(of_each, list(folds)).all():
            return self
        places = np.flatnonzero(np.isin(of_each[self.numbers], list(folds)))
        failed = self.failed[np.isin(of_each[self.failed], list(folds))]
        samples = self.samples.take(places)
        return Scorable(self.manifest, samples, self.numbers[places], failed, tuple(sorted(folds)))


@dataclass(frozen=True, eq=False)
class Comparison:
    """Samples and prompts that are compared, by way of a head where one of them is CLIP's."""

    of: Combination
    """What is compared; each prediction fills in its prompts."""
    scorable: Scorable
    head: Head | Classifier
    """Of the samples."""
    directions: Directions
    texts: Sequence[ClassVectors]
    with_cosines: bool
    """Whether similarities are wanted, or predictions alone, which cost far less."""

    @property
    def has_llm_side(self) -> bool:
        """Whether the LLM encodes the images or the prompts."""
        return "llm" in (self.of.image, self.of.text)

    @cached_property
    def predictions(self) -> list[Predictions]:
        """For each prompt set, the cosines between samples and prompts, averaged over the prompts of each class."""
        if isinstance(self.head, Classifier):
            return list(self._by_classes(self.head))
        compared = self._compared(self.head)
        predicted, cosines = self._decided(self.head, compared), compared.cosines
        return [
            self._predictions(one.name, one.ensemble, predicted[:, k], None if cosines is None else cosines[:, k])
            for k, one in enumerate(self.texts)
        ]

    @cached_property
    def has_prompts(self) -> np.ndarray:
        """(prompt sets, classes) bool."""
        return np.stack([one.has_prompts for one in self.texts])

    def _compared(self, head: Head) -> "_Compared":
        """All prompt sets at once: one product, and the lengths are the same for all of them."""
        products: list[np.ndarray] = []
        norms: list[np.ndarray] = []
        lengths: list[np.ndarray] = []
        with np.errstate(all="ignore"):  # what comes of it is looked at
            directions = np.stack(self.directions.of(self.texts))
            flat = directions.reshape(-1, directions.shape[2]).astype(np.float32).T
            for some in head.pooled(self.scorable.samples):
                products.append((some @ flat).reshape(-1, *directions.shape[:2]))
                norms.append(np.linalg.norm(some, axis=1))
                lengths += [head.lengths(some)] if self.with_cosines else []
        every = np.concatenate(products)
        self.refuse_unless(are_finite(every) and all(map(_have_lengths, lengths or norms)))
        every[:, ~self.has_prompts] = -np.inf
        return _Compared(directions, every, np.concatenate(norms), np.concatenate(lengths) if lengths else None)

    def refuse_unless(self, is_comparable: bool) -> None:
        """Raise ExpclipError for what no class follows from: it would pass for the first one."""
        if is_comparable:
            return
        of = self.of
        todo = "fit it again, with a smaller learning rate, or leave it out" if of.head_id else "extract them again"
        what = f"behind head {of.head_id}" if of.head_id else "without a head"
        raise ExpclipError(
            f"{of.dataset} under {of.backbone}: embeddings {what} have similarities that are no finite numbers, "
            f"from which nothing can be predicted: {todo}"
        )

    def _decided(self, head: Head, compared: "_Compared") -> np.ndarray:
        """(n, prompt sets) class indices. What is too close for float32 is compared again in float64."""
        predicted = compared.products.argmax(axis=2)
        close = np.flatnonzero(compared.is_close)
        if len(close):
            exact = np.concatenate(list(head.pooled(self.scorable.samples.take(close, np.float64))))
            with np.errstate(all="ignore"):
                self.refuse_unless(_have_lengths(head.lengths(exact)))
            again = np.tensordot(exact, compared.directions, (1, 2))
            again[:, ~self.has_prompts] = -np.inf
            predicted[close] = again.argmax(axis=2)
        return predicted

    def _by_classes(self, head: Classifier) -> Iterator[Predictions]:
        """By what a head learnt from labels, alone or with each prompt set."""
        scores = self._class_scores(head)
        self.refuse_unless(are_finite(scores))
        scale = text_scale(head)
        if scale is None:
            yield self._predictions(LABELS, "", scores.argmax(axis=1), scores)
            return
        with np.errstate(all="ignore"):  # what comes of it is looked at
            samples = unit(self.scorable.samples.means)
            directions = self.directions.of(self.texts)
        for one, of_classes in zip(self.texts, directions, strict=True):
            both = scale * (samples @ of_classes.T) + scores
            self.refuse_unless(are_finite(both))
            both[:, ~one.has_prompts] = -np.inf
            yield self._predictions(one.name, one.ensemble, both.argmax(axis=1), both)

    def _class_scores(self, head: Classifier) -> np.ndarray:
        """(n, classes) in the order of the data set's classes, which are among those that the head learnt."""
        scorable = self.scorable
        order = [head.classes.index(name) for name in scorable.manifest.classes]
        if isinstance(head, ByFold):
            return head.scores_of_folds(scorable.samples, scorable.manifest.folds[scorable.numbers])[:, order]
        return head.class_scores(scorable.samples)[:, order]

    def _predictions(
        self, prompts: str, ensemble: str, predicted: np.ndarray, similarity: np.ndarray | None
    ) -> Predictions:
        of = replace(self.of, prompts=prompts, ensemble=ensemble)
        return Predictions(of, self.scorable.manifest, self.scorable.numbers, predicted, similarity)


@dataclass(frozen=True, eq=False)
class _Compared:
    """The products of samples with the directions of classes."""

    directions: np.ndarray
    """(prompt sets, classes, D) float64."""
    products: np.ndarray
    """(n, prompt sets, classes) float32; -inf for a class without prompts."""
    norms: np.ndarray
    """(n,) the lengths of the vectors behind the products."""
    lengths: np.ndarray | None
    """(n,) what turns products into cosines; None where these are not wanted."""

    @property
    def is_close(self) -> np.ndarray:
        """(n,) whether the two best classes of a prompt set are too near to each other to be told apart."""
        if self.products.shape[2] < 2:
            return np.zeros(len(self.products), dtype=bool)
        best = np.partition(self.products, -2, axis=2)[:, :, -2:]
        longest = np.linalg.norm(self.directions, axis=2).max(axis=1)
        with np.errstate(invalid="ignore"):  # one class alone has prompts
            return (best[:, :, 1] - best[:, :, 0] < _CLOSE * self.norms[:, None] * longest).any(axis=1)

    @property
    def cosines(self) -> np.ndarray | None:
        """(n, prompt sets, classes) float32; None where they are not wanted."""
        if self.lengths is None:
            return None
        return self.products / self.lengths[:, None, None].astype(np.float32)


def _have_lengths(lengths: np.ndarray) -> bool:
    """Whether directions follow from embeddings of such lengths."""
    return are_finite(lengths) and bool((lengths > 0).all())
