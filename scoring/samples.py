"""Samples as arrays: images, or clips of frames."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol, runtime_checkable

import numpy as np

Pooling = Literal["before", "behind"]

_CLIPS = 32
"""Clips transformed at once: what bounds the memory."""


@dataclass(frozen=True, eq=False)
class Samples:
    """n samples by the embeddings of their frames; an image is a clip of one."""

    frames: np.ndarray
    """(rows, L) embeddings as stored."""
    rows: Sequence[np.ndarray] | None = None
    """The rows of each sample in order, repeats included; None where every row is a sample."""
    pools: Pooling = "behind"
    """Where the frames of a clip become one: before a head, or behind it."""

    def __len__(self) -> int:
        return len(self.frames if self.rows is None else self.rows)

    def take(self, numbers: np.ndarray) -> "Samples":
        """Some of the samples, by their numbers."""
        if self.rows is None:
            return Samples(self.frames[numbers], None, self.pools)
        return Samples(self.frames, [self.rows[k] for k in numbers], self.pools)

    @cached_property
    def means(self) -> np.ndarray:
        """(n, L) float64: the image's embedding, or the mean over the frames of a clip."""
        if self.rows is None:
            return np.asarray(self.frames, dtype=np.float64)
        means = np.empty((len(self.rows), self.frames.shape[1]))
        for k, rows in enumerate(self.rows):
            means[k] = self.frames[rows].mean(axis=0, dtype=np.float64)
        return means

    def means_behind(self, transform: Callable[[np.ndarray], np.ndarray]) -> Iterator[np.ndarray]:
        """The mean of the transformed frames of each sample, some (k, L') float64 at a time.

        Equal frames of neighbouring clips are transformed once. Source: Exp-CLIP's released code.
        """
        clips = np.arange(len(self))[:, None] if self.rows is None else self.rows
        if not len(clips):
            yield np.empty((0, transform(self.frames[:0]).shape[1]))
        for start in range(0, len(clips), _CLIPS):
            some = clips[start : start + _CLIPS]
            rows, place = np.unique(np.concatenate(some), return_inverse=True)
            transformed = transform(self.frames[rows])
            parts = np.split(place, np.cumsum([len(one) for one in some])[:-1])
            yield np.stack([transformed[part].mean(axis=0, dtype=np.float64) for part in parts])


def as_samples(images: "Samples | np.ndarray") -> Samples:
    """Samples as they are; image embeddings (n, L) as n samples."""
    return images if isinstance(images, Samples) else Samples(np.asarray(images), pools="before")


class Head(Protocol):
    """What scoring needs of a head that projects CLIP's embeddings. It receives samples, and pools clips itself."""

    def transform(self, X: np.ndarray) -> np.ndarray:
        """(n, L) embeddings of images or texts to (n, L'), not normalised."""
        ...

    def project(self, samples: Samples) -> np.ndarray:
        """(n, L') of samples, not normalised."""
        ...

    def similarity(self, samples: Samples, texts: np.ndarray) -> np.ndarray:
        """Cosines (n, m) float64 of projected samples and projected text embeddings (m, L)."""
        ...


@runtime_checkable
class Classifier(Protocol):
    """What scoring needs of a head that learnt from labels: it needs no prompts."""

    classes: tuple[str, ...]

    def class_scores(self, samples: Samples) -> np.ndarray:
        """(n, classes) float64: the higher, the likelier."""
        ...
