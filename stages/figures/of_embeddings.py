"""Figures of where embeddings lie: their variance, maps of them, and retrieval by descriptions."""

from collections.abc import Sequence

import numpy as np

from ...manifests.descriptions import Description
from ...reports.retrieval import CHANCE, chance, mean_retrieval, retrieval, retrieval_figure
from ...reports.tsne import tsne_figure, tsne_points
from ...reports.variance import class_variance, variance_figure
from ...scoring.cosines import unit
from ...scoring.scores import Score
from .described import described_samples
from .subject import Named, Subject, shown_head

MOST_POINTS = 2000
"""t-SNE of more takes minutes and shows no more."""
_FEWEST_POINTS = 4
"""Of which t-SNE can have neighbours."""


def draw_variance(subject: Subject) -> Named:
    """The variance of each class before and after heads, mean over the seeds of a row."""
    n_classes = len(subject.manifest.classes)
    variances = {}
    for label, scores in subject.rows.items():
        embeddings = (subject.embeddings(score) for score in scores)
        variances[label] = np.mean([class_variance(one, subject.labels, n_classes) for one in embeddings], axis=0)
    figure = variance_figure(variances, subject.manifest.classes, subject.title("variance within classes"))
    yield f"variance-{subject.name}", figure


def draw_tsne(subject: Subject) -> Named:
    """t-SNE before and after heads (of each row the one with the lowest seed), of the same random samples."""
    n = len(subject.labels)
    if n < _FEWEST_POINTS:
        yield f"tsne-{subject.name}", f"t-SNE needs {_FEWEST_POINTS} samples, and {n} have a label and features"
        return
    seed = subject.request.seed
    chosen = np.sort(np.random.default_rng(seed).permutation(n)[:MOST_POINTS])
    panels = {}
    for label, scores in subject.rows.items():
        shown, score = shown_head(label, scores)
        panels[shown] = tsne_points(subject.embeddings(score, chosen), seed)
    title = subject.title(f"t-SNE of {len(chosen):,} of {n:,} samples")
    figure = tsne_figure(panels, subject.labels[chosen], subject.manifest.classes, title)
    yield f"tsne-{subject.name}", figure


def draw_retrieval(subject: Subject) -> Named:
    """Retrieval of samples by their descriptions and of descriptions by samples, mean over the seeds of a row.

    The descriptions are encoded by the backbone's text tower, once. Samples without one are not candidates.
    """
    assert subject.request.descriptions is not None  # the request checks it
    described = described_samples(subject.request.descriptions, subject)
    of = np.array([sample for sample, _ in described])
    samples = np.unique(of)
    labels = subject.labels
    own = of[:, None] == samples
    same_class = labels[of][:, None] == labels[samples]
    texts = _text_embeddings(subject, [one for _, one in described])
    there, back = {}, {}
    for label, scores in subject.rows.items():
        pairs = [_projected(subject, score, texts, samples) for score in scores]
        there[label] = mean_retrieval([retrieval(text, image, same_class, own) for text, image in pairs])
        back[label] = mean_retrieval([retrieval(image, text, same_class.T, own.T) for text, image in pairs])
    there[CHANCE], back[CHANCE] = chance(same_class, own), chance(same_class.T, own.T)
    kind = subject.manifest.kind.removesuffix("s")
    title = subject.title(f"{len(of):,} descriptions of {len(samples):,} {subject.manifest.kind}")
    figure = retrieval_figure({f"description → {kind}": there, f"{kind} → description": back}, title)
    yield f"retrieval-{subject.name}", figure


def _text_embeddings(subject: Subject, descriptions: Sequence[Description]) -> np.ndarray:
    """(q, L) of descriptions, from the cache or made now."""
    subject.reader.refuse_alike_descriptions(descriptions)
    found = subject.reader.embeddings({"descriptions": [one.text for one in descriptions]})
    return np.stack([found[one.text] for one in descriptions])


def _projected(
    subject: Subject, score: Score, texts: np.ndarray, samples: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Unit embeddings of texts (q, L') and samples (m, L') after the head of a score."""
    return unit(subject.projecting_head(score).transform(texts)), subject.embeddings(score, samples)
