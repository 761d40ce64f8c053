"""Label-free adaptation: predictions that follow from all test samples together, without their labels.

Each fold adapts by itself, as the samples of one test set. What a sample is called then depends on the others
(transduction), so that these scores are not those of a model that sees one sample at a time.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..errors import ExpclipError, option
from .by_fold import gives_logits
from .compare import Comparison
from .cosines import are_finite
from .ensembles import NO_DIRECTION
from .prior_bias import matched_bias
from .samples import Classifier, Head
from .scores import MEAN, Combination, Predictions

PRIOR, CENTER = "prior", "center"
FEWEST = 2
"""Samples that adapt together: one alone is its own mean, and may be made to predict anything."""
UNIFORM = "uniform"
_ROWS = 2048
"""Embeddings in float64 at once: what bounds the memory."""


@dataclass(frozen=True)
class Adaptation:
    """One way to adapt, and the share of each class where it is a given one."""

    how: str
    scale: float
    """What cosines weigh in probabilities: exp(logit_scale) of OpenAI's CLIP models."""
    shares: Mapping[str, float] | None = None
    """Of `prior`: by class, they sum to one; None is the same for every class."""

    def why_not(self, head: Head | Classifier) -> str:
        """Why it cannot be done behind a head; empty where it can."""
        if not isinstance(head, Classifier):
            return ""
        if self.how == CENTER:
            return "learnt from labels, and is no comparison of embeddings that could be centred"
        return (
            "" if gives_logits(head) else "gives scores that are no logits, so that no probabilities follow from them"
        )

    def marked(self, of: Combination) -> Combination:
        """What is scored, with this said of it."""
        given = ",".join(f"{name}={share:.6g}" for name, share in (self.shares or {}).items())
        return replace(of, adapted=self.how, prior=(given or UNIFORM) if self.how == PRIOR else "")


def adapted(comparison: Comparison, by: Adaptation) -> list[Predictions]:
    """The predictions of each prompt set, adapted to each fold. Raises ExpclipError where none follow."""
    _refuse_few(comparison, by)
    matches = _matched if by.how == PRIOR else _centred
    return [
        replace(
            one,
            of=by.marked(one.of),
            predicted=similarity.argmax(axis=1),
            similarity=None if one.similarity is None else similarity,
        )
        for one, similarity in zip(comparison.predictions, matches(comparison, by), strict=True)
    ]


def together(comparison: Comparison) -> Iterator[np.ndarray]:
    """(k,) places of the samples that adapt together: those of a fold, or all."""
    yield from (part.places for part in comparison.scorable.parts if part.fold != MEAN and len(part.places))


def _refuse_few(comparison: Comparison, by: Adaptation) -> None:
    fewest = min(map(len, together(comparison)), default=FEWEST)
    if fewest < FEWEST:
        raise ExpclipError(
            f"{option('adapt')} {by.how}: {comparison.of.dataset} has {fewest} sample that could be encoded, or a "
            f"fold with as few, and expected are {FEWEST} or more: all samples are looked at together"
        )


def _matched(comparison: Comparison, by: Adaptation) -> Iterator[np.ndarray]:
    """(n, classes) similarities of each prompt set, with the bias in them that matches the prior."""
    scale = 1 if isinstance(comparison.head, Classifier) else by.scale
    classes = comparison.scorable.manifest.classes
    prior = np.array([(by.shares or {}).get(name, 1 / len(classes)) for name in classes])
    for similarity in _similarities(comparison):
        logits = scale * similarity
        known = np.isfinite(logits[:1]).all(axis=0)  # a class without prompts is never predicted
        for places in together(comparison):
            some = np.ix_(places, known)
            logits[some] += _bias(comparison, logits[some], prior[known] / prior[known].sum())
        yield logits / scale


def _bias(comparison: Comparison, logits: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """As `matched_bias`; an error says of what."""
    try:
        return matched_bias(logits, prior)
    except ExpclipError as error:
        of = comparison.of
        what = f"head {of.head_id}" if of.head_id else "no head"
        raise ExpclipError(
            f"{option('adapt')} {PRIOR}: {of.dataset} under {of.backbone}, {what}: {error}: leave {PRIOR} out"
        ) from error


def _similarities(comparison: Comparison) -> list[np.ndarray]:
    """(n, classes) float64 of each prompt set: cosines, or the scores of a head that learnt from labels."""
    if isinstance(comparison.head, Classifier):
        return [np.asarray(one.similarity, dtype=np.float64) for one in comparison.predictions]
    directions = np.stack(comparison.directions.of(comparison.texts))
    head, found = comparison.head, []
    for some in head.pooled(comparison.scorable.samples):
        for start in range(0, max(len(some), 1), _ROWS):
            block = some[start : start + _ROWS].astype(np.float64)
            found.append(_cosines(comparison, block, _lengths(head, block), directions))
    return list(np.concatenate(found).swapaxes(0, 1))


def _lengths(head: Head, vectors: np.ndarray) -> np.ndarray:
    """(k,) lengths behind a head of vectors (k, D), in their dtype."""
    with np.errstate(all="ignore"):  # what comes of it is looked at
        return head.lengths(vectors)


def _cosines(comparison: Comparison, vectors: np.ndarray, lengths: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """(k, prompt sets, classes) of vectors (k, D) float64 and directions (prompt sets, classes, D)."""
    with np.errstate(all="ignore"):  # what comes of it is looked at
        flat = vectors @ directions.reshape(-1, directions.shape[2]).T
        found = (flat / lengths[:, None]).reshape(-1, *directions.shape[:2])
    comparison.refuse_unless(are_finite(found))
    found[:, ~comparison.has_prompts] = -np.inf
    return found


def _centred(comparison: Comparison, by: Adaptation) -> list[np.ndarray]:
    """(n, classes) cosines of each prompt set between z - mean of z and t - mean of t, for unit embeddings z and t.

    The samples are taken as `pooled` has them, which a head leads on from linearly: so does it from differences.
    """
    head = comparison.head
    assert not isinstance(head, Classifier)
    directions = np.stack(comparison.directions.centred_of(comparison.texts))
    pooled = np.concatenate(list(head.pooled(comparison.scorable.samples)))
    found: np.ndarray = np.empty((len(pooled), *directions.shape[:2]))
    for places in together(comparison):
        blocks = [places[start : start + _ROWS] for start in range(0, len(places), _ROWS)]
        lengths = [_lengths(head, pooled[some].astype(np.float64)) for some in blocks]
        pairs = list(zip(blocks, lengths, strict=True))
        mean = np.sum([_unit(pooled[some], of).sum(axis=0) for some, of in pairs], axis=0) / len(places)
        comparison.refuse_unless(are_finite(mean))
        for some, of in pairs:
            moved = _unit(pooled[some], of) - mean
            left = _lengths(head, moved.astype(np.float32))  # the same for all classes: they decide nothing
            _refuse_without_direction(comparison, left, some)
            found[some] = _cosines(comparison, moved, left, directions)
    return list(found.swapaxes(0, 1))


def _unit(pooled: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(k, D) float64 of pooled samples, divided by their lengths behind the head."""
    with np.errstate(all="ignore"):  # what comes of it is looked at
        return pooled / lengths[:, None]


def _refuse_without_direction(comparison: Comparison, left: np.ndarray, places: np.ndarray) -> None:
    """Raise ExpclipError where nothing is left of a sample without the mean."""
    near = np.flatnonzero(~(left > NO_DIRECTION))  # of a rounding below zero there is no root
    if not len(near):
        return
    manifest, of = comparison.scorable.manifest, comparison.of
    sample = manifest.sample_ids[comparison.scorable.numbers[places[near[0]]]]
    raise ExpclipError(
        f"{option('adapt')} {CENTER}: {of.dataset} under {of.backbone}: the embedding of sample {sample} is the mean "
        f"of the samples that adapt together, so that no direction is left of it ({len(near)} such samples): "
        f"evaluate without {CENTER}"
    )
