"""Comparing samples with prompts, by way of a head: similarities and predictions from arrays."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..manifests.manifest import NO_LABEL, Clips, Manifest
from .cosines import PlainClip
from .ensembles import ClassVectors
from .samples import Classifier, Head, Pooling, Samples
from .scores import Combination, Predictions

LABELS = "labels"
"""What stands for the prompt set where a head learnt from labels and needs none."""


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

    @classmethod
    def of(
        cls, manifest: Manifest, features: np.ndarray, mask: np.ndarray, clips: Clips, pools: Pooling
    ) -> "Scorable":
        """From features (rows, L), and `mask` (rows,) that says which rows could be encoded."""
        readable = np.logical_and.reduceat(mask[clips.indices], clips.offsets[:-1])
        labelled = manifest.labels != NO_LABEL
        numbers = np.flatnonzero(readable & labelled)
        rows = [clips.indices[clips.offsets[k] : clips.offsets[k + 1]] for k in numbers]
        return cls(manifest, Samples(features, rows, pools), numbers, np.flatnonzero(~readable & labelled))

    @property
    def labels(self) -> np.ndarray:
        """(n,) class indices."""
        return self.manifest.labels[self.numbers]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Samples and prompts that are compared, by way of a head where one of them is CLIP's."""

    of: Combination
    """What is compared; each prediction fills in its prompts."""
    scorable: Scorable
    head: Head | Classifier
    texts: Sequence[ClassVectors]

    @property
    def has_llm_side(self) -> bool:
        """Whether the LLM encodes the images or the prompts."""
        return "llm" in (self.of.image, self.of.text)

    @cached_property
    def predictions(self) -> list[Predictions]:
        """For each prompt set, the cosines between samples and prompts, averaged over the prompts of each class.

        All prompt sets are compared at once: the lengths of the projected samples are the same for all of them.
        """
        if isinstance(self.head, Classifier):
            return [self._predictions(LABELS, "", self._class_scores(self.head))]
        cosines = self._cosines(self.head, np.concatenate([one.vectors for one in self.texts]))
        ends = np.cumsum([len(one.vectors) for one in self.texts])[:-1]
        return [
            self._predictions(prompts.name, prompts.ensemble, prompts.by_class(part))
            for prompts, part in zip(self.texts, np.split(cosines, ends, axis=1), strict=True)
        ]

    def _cosines(self, head: Head, texts: np.ndarray) -> np.ndarray:
        """(n, m) of the samples and text embeddings (m, width), both in one space."""
        samples, plain = self.scorable.samples, PlainClip()
        if self.of.image == self.of.text == "clip":
            return head.similarity(samples, texts)
        if self.of.image == "clip":
            return plain.similarity(head.project(samples), texts)
        return plain.similarity(samples, head.transform(texts) if self.of.text == "clip" else texts)

    def _class_scores(self, head: Classifier) -> np.ndarray:
        """(n, classes) in the order of the data set's classes, which are among those that the head learnt."""
        order = [head.classes.index(name) for name in self.scorable.manifest.classes]
        return head.class_scores(self.scorable.samples)[:, order]

    def _predictions(self, prompts: str, ensemble: str, similarity: np.ndarray) -> Predictions:
        of = replace(self.of, prompts=prompts, ensemble=ensemble)
        return Predictions(of, self.scorable.manifest, self.scorable.numbers, similarity)
