"""Lengths and cosines, and CLIP without a head."""

from collections.abc import Iterator

import numpy as np

from ..errors import ExpclipError
from .samples import Head, Samples, as_samples


def unit(vectors: np.ndarray) -> np.ndarray:
    """(n, d) float64 rows of length one."""
    exact = np.asarray(vectors, dtype=np.float64)
    return exact / np.linalg.norm(exact, axis=1, keepdims=True)


def cosines(head: Head, samples: Samples | np.ndarray, texts: np.ndarray) -> np.ndarray:
    """(n, m) of projected samples, or image embeddings (n, L), and projected text embeddings (m, L).

    Embeddings that are NaN, as rows that could not be encoded are, have NaN for similarities. Raises ExpclipError
    where others have no finite ones.
    """
    known = as_samples(samples)
    with np.errstate(all="ignore"):  # what comes of it is looked at
        directions = text_directions(head, texts).T
        found = np.concatenate([some @ directions / head.lengths(some)[:, None] for some in head.pooled(known)])
    if not are_finite(found):
        rows = np.flatnonzero(~np.isfinite(found).all(axis=1) & ~np.isnan(known.means).all(axis=1))
        if len(rows):
            raise ExpclipError(
                f"sample {rows[0]}: its similarities are no finite numbers ({len(rows)} of {len(found)} samples): "
                f"look at its embedding, at those of the texts, and at the weights of the head"
            )
    return found


def are_finite(values: np.ndarray) -> bool:
    """Whether no value is NaN or infinite; values of any shape."""
    return not values.size or bool(np.isfinite(values.min()) and np.isfinite(values.max()))


def text_directions(head: Head, texts: np.ndarray) -> np.ndarray:
    """(m, D) float64 of text embeddings (m, L) that the head projects."""
    return head.directions(unit(head.transform(np.asarray(texts, dtype=np.float64))))


class PlainClip:
    """No head: CLIP as it is."""

    def transform(self, X: np.ndarray) -> np.ndarray:
        """(n, L) embeddings as they are."""
        return X

    def project(self, samples: Samples) -> np.ndarray:
        """(n, L) embeddings of samples: of a clip, the mean of its frames."""
        return samples.means

    def pooled(self, samples: Samples) -> Iterator[np.ndarray]:
        """The embeddings themselves."""
        yield samples.means

    def directions(self, targets: np.ndarray) -> np.ndarray:
        """(m, L) as they are."""
        return targets

    def lengths(self, pooled: np.ndarray) -> np.ndarray:
        """(n,) of embeddings (n, L)."""
        return np.linalg.norm(pooled, axis=1)

    def similarity(self, samples: Samples | np.ndarray, texts: np.ndarray) -> np.ndarray:
        """Cosines (n, m) of samples, or image embeddings (n, L), and text embeddings (m, L)."""
        return cosines(self, samples, texts)
