"""Cosines after a projection, of images and of clips."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

_CLIPS = 32
"""Clips projected at once: what bounds the memory."""


class Head(Protocol):
    """What scoring needs of a head."""

    is_linear: bool
    """Whether a mean may be taken before the projection as well as after it."""

    def transform(self, X: np.ndarray) -> np.ndarray:
        """(n, L) embeddings of images or texts to (n, L'), not normalised."""
        ...

    def similarity(self, images: np.ndarray, texts: np.ndarray) -> np.ndarray:
        """Cosines (n, m) float64 of projected image embeddings (n, L) and text embeddings (m, L)."""
        ...


def unit(vectors: np.ndarray) -> np.ndarray:
    """(n, d) float64 rows of length one."""
    exact = np.asarray(vectors, dtype=np.float64)
    return exact / np.linalg.norm(exact, axis=1, keepdims=True)


def clip_similarity(head: Head, frames: np.ndarray, clips: Sequence[np.ndarray], texts: np.ndarray) -> np.ndarray:
    """Cosines (n, m) float64 of n clips and text embeddings (m, L): each frame is projected, then the mean is taken.

    `frames` (rows, L) are embeddings, `clips` the rows of each clip in order, repeats included. Source: Exp-CLIP's
    released code.
    """
    directions = unit(head.transform(texts))
    return np.concatenate([unit(means) @ directions.T for means in projected_clips(head, frames, clips)])


def projected_clips(head: Head, frames: np.ndarray, clips: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """The clips behind a head, some (k, L') float64 at a time: the mean of their projected frames.

    Equal frames of neighbouring clips are projected once.
    """
    if not len(clips):
        yield np.empty((0, head.transform(frames[:0]).shape[1]))
    for start in range(0, len(clips), _CLIPS):
        some = clips[start : start + _CLIPS]
        rows, place = np.unique(np.concatenate(some), return_inverse=True)
        projected = head.transform(frames[rows])
        parts = np.split(place, np.cumsum([len(one) for one in some])[:-1])
        yield np.stack([projected[part].mean(axis=0, dtype=np.float64) for part in parts])
