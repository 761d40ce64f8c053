"""A model whose clips are more than the mean of their frames, without a head besides its own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np

from .cosines import cosines
from .samples import Samples

Embed = Callable[[np.ndarray], np.ndarray]
"""Frames (n, T, L) float32 of clips of one length → (n, L)."""

_FRAMES = 512
"""Embedded at once, but for a clip of more: what bounds the memory."""


@dataclass(frozen=True, eq=False)
class OwnClips:
    """A clip head that belongs to a model; texts are compared with its output as they are."""

    load: Callable[[], Embed]
    """Loads it, once it is needed."""
    _known: "WeakKeyDictionary[Samples, np.ndarray]" = field(default_factory=WeakKeyDictionary)
    """The embeddings of samples that are looked at several times."""

    @cached_property
    def _embed(self) -> Embed:
        return self.load()

    def transform(self, X: np.ndarray) -> np.ndarray:
        """(n, L) embeddings of texts as they are."""
        return X

    def project(self, samples: Samples) -> np.ndarray:
        """(n, L) of samples, in their dtype; the network itself runs in float32."""
        if samples not in self._known:
            self._known[samples] = self._embedded(samples)
        return self._known[samples]

    def pooled(self, samples: Samples) -> Iterator[np.ndarray]:
        """The same."""
        yield self.project(samples)

    def directions(self, targets: np.ndarray) -> np.ndarray:
        """(m, L) as they are."""
        return targets

    def lengths(self, pooled: np.ndarray) -> np.ndarray:
        """(n,) of embeddings (n, L)."""
        return np.linalg.norm(pooled, axis=1)

    def similarity(self, samples: Samples | np.ndarray, texts: np.ndarray) -> np.ndarray:
        """Cosines (n, m) of samples and text embeddings (m, L)."""
        return cosines(self, samples, texts)

    def _embedded(self, samples: Samples) -> np.ndarray:
        found = np.empty((len(samples), samples.frames.shape[1]), dtype=samples.dtype)
        for numbers, rows in samples.of_one_length(lambda length: _FRAMES // max(length, 1)):
            found[numbers] = self._embed(samples.frames[rows].astype(np.float32))
        return found
