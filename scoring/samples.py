"""Samples as arrays: images, or clips of frames."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from ..manifests.manifest import Clips
from .pooling import clip_means, of_one_length, rows_of

Pooling = Literal["before", "behind"]

_IMAGES, _CLIPS = 512, 128
"""Transformed at once: what bounds the memory."""


@dataclass(frozen=True, eq=False)
class Samples:
    """n samples by the embeddings of their frames; an image is a clip of one."""

    frames: np.ndarray
    """(rows, L) embeddings as stored."""
    clips: Clips | None = None
    """The rows of each sample in order, repeats included; None where every row is a sample."""
    pools: Pooling = "behind"
    """Where the frames of a clip become one: before a head, or behind it."""
    dtype: type = np.float32
    """What means are computed in."""

    def __len__(self) -> int:
        return len(self.frames if self.clips is None else self.clips)

    def take(self, numbers: np.ndarray, dtype: type = np.float32) -> "Samples":
        """Some of the samples, by their numbers."""
        if self.clips is None:
            return Samples(self.frames[numbers], None, self.pools, dtype)
        return Samples(self.frames, self.clips.take(numbers), self.pools, dtype)

    def of_one_length(self, most: Callable[[int], int]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Numbers of samples (k,) with as many frames, and their rows (k, T): up to `most(T)` samples at a time."""
        clips = self.clips
        if clips is None:
            clips = Clips(np.arange(len(self) + 1), np.arange(len(self)))
        yield from ((numbers, rows_of(clips, numbers)) for numbers in of_one_length(clips.lengths, most))

    @cached_property
    def means(self) -> np.ndarray:
        """(n, L): the image's embedding, or the mean over the frames of a clip."""
        if self.clips is None:
            return np.asarray(self.frames, dtype=self.dtype)
        return clip_means(self.frames, self.clips, self.dtype)

    def means_behind(self, transform: Callable[[np.ndarray], np.ndarray]) -> Iterator[np.ndarray]:
        """The mean of the transformed frames of each sample, some (k, L') at a time.

        Equal frames of neighbouring clips are transformed once. Source: Exp-CLIP's released code.
        """
        clips = self.clips
        if clips is None or not len(clips):  # images, or nothing
            images = self.frames if clips is None else self.frames[:0]
            starts = range(0, max(len(images), 1), _IMAGES)
            yield from (transform(images[start : start + _IMAGES]).astype(self.dtype, copy=False) for start in starts)
            return
        for start in range(0, len(clips), _CLIPS):
            some = clips.take(np.arange(start, min(start + _CLIPS, len(clips))))
            rows, places = np.unique(some.indices, return_inverse=True)
            yield clip_means(transform(self.frames[rows]), Clips(some.offsets, places), self.dtype)


def as_samples(images: "Samples | np.ndarray") -> Samples:
    """Samples as they are; image embeddings (n, L) as n samples."""
    return images if isinstance(images, Samples) else Samples(np.asarray(images), pools="before")


class Head(Protocol):
    """What scoring needs of a head that projects CLIP's embeddings. It receives samples, and pools clips itself.

    A cosine between samples and texts is a product of `pooled` samples with the `directions` of texts, over `lengths`
    of the samples; the lengths decide nothing.
    """

    def transform(self, X: np.ndarray) -> np.ndarray:
        """(n, L) embeddings of images or texts to (n, L'), not normalised."""
        ...

    def project(self, samples: Samples) -> np.ndarray:
        """(n, L') of samples, not normalised."""
        ...

    def pooled(self, samples: Samples) -> Iterator[np.ndarray]:
        """The samples as vectors of some length D, (k, D) at a time."""
        ...

    def directions(self, targets: np.ndarray) -> np.ndarray:
        """(m, D) float64, from texts (m, L') float64 of length one in the space that the head leads to."""
        ...

    def lengths(self, pooled: np.ndarray) -> np.ndarray:
        """(k,) the lengths of projected samples, from `pooled` ones (k, D)."""
        ...


@runtime_checkable
class Classifier(Protocol):
    """What scoring needs of a head that learnt from labels: it needs no prompts.

    One with a `text_scale` does: its scores are added to that many times the cosines of samples and prompts. One that
    has `gives_logits`, and it is true, says that a softmax of its scores makes probabilities.
    """

    classes: tuple[str, ...]

    def class_scores(self, samples: Samples) -> np.ndarray:
        """(n, classes) float64: the higher, the likelier."""
        ...
