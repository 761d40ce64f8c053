"""Lengths and cosines, and CLIP without a head."""

import numpy as np

from .samples import Samples, as_samples


def unit(vectors: np.ndarray) -> np.ndarray:
    """(n, d) float64 rows of length one."""
    exact = np.asarray(vectors, dtype=np.float64)
    return exact / np.linalg.norm(exact, axis=1, keepdims=True)


def cosines(images: np.ndarray, directions: np.ndarray, gram: np.ndarray | None = None) -> np.ndarray:
    """Products of images (n, L) with directions (m, L) over the images' lengths, in the metric of a Gram matrix.

    The lengths scale whole rows and decide nothing, so float32 is enough for them.
    """
    single = np.asarray(images, dtype=np.float32)
    moved = single if gram is None else single @ gram
    lengths = np.sqrt(np.einsum("nl,nl->n", moved, single, dtype=np.float64))
    return (np.asarray(images, dtype=np.float64) @ directions.T) / lengths[:, None]


class PlainClip:
    """No head: CLIP as it is."""

    def transform(self, X: np.ndarray) -> np.ndarray:
        """(n, L) embeddings as they are."""
        return X

    def project(self, samples: Samples) -> np.ndarray:
        """(n, L) float64 embeddings of samples: of a clip, the mean of its frames."""
        return samples.means

    def similarity(self, samples: Samples | np.ndarray, texts: np.ndarray) -> np.ndarray:
        """Cosines (n, m) float64 of samples, or of image embeddings (n, L), and text embeddings (m, L)."""
        return cosines(as_samples(samples).means, unit(texts))
