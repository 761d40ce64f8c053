"""Figures of what is predicted: confusion matrices side by side, and samples with probabilities."""

from collections.abc import Sequence
from functools import reduce
from itertools import zip_longest

import numpy as np
from matplotlib.figure import Figure

from ...heads.recipe import LOGIT_SCALE
from ...reports.confusion import comparison_figure
from ...reports.legibility import legible
from ...reports.sample_sheet import Sample, samples_figure
from ...reports.tables import rows_by_head
from ...scoring.agreement import ALIKE, KINDS, agreement
from ...scoring.by_fold import gives_logits
from ...scoring.reliability import probabilities
from ...scoring.samples import Classifier
from ...scoring.scores import Predictions, Score
from ..sample_pictures import sample_pictures
from .subject import MOST_ROWS, Named, Subject, shown_head

_SAMPLES = 8


def draw_confusion(subject: Subject) -> Named:
    """The matrices of all heads side by side, for each prompt set."""
    for name, part in subject.by_prompts():
        yield f"confusion-{name}", comparison_figure(_rows(part.scores))


def draw_samples(subject: Subject) -> Named:
    """Pictures with what heads say of them, for each prompt set; left out where the pictures are gone."""
    for name, part in subject.by_prompts():
        sheet = _sample_sheet(subject, part.predictions, _rows(part.scores))
        yield f"samples-{name}", sheet or "none of the pictures can be read any more"


def _rows(scores: Sequence[Score]) -> dict[str, list[Score]]:
    return rows_by_head([score for score in scores if score.is_overall])


def _sample_sheet(
    subject: Subject, predictions: Sequence[Predictions], rows: dict[str, list[Score]]
) -> Figure | None:
    """Samples that rows predict differently, drawn at random; of each row the head with the lowest seed predicts."""
    by_head = {one.of.head_id: one for one in predictions}
    shown = dict(shown_head(label, scores) for label, scores in list(rows.items())[:MOST_ROWS])
    methods = {label: by_head[score.of.head_id] for label, score in shown.items()}
    first = predictions[0]
    manifest = first.manifest
    common = reduce(
        np.intersect1d, (one.samples for one in methods.values())
    )  # heads of some folds score these alone
    truth = manifest.labels[common]
    places = {label: np.searchsorted(one.samples, common) for label, one in methods.items()}
    predicted = {label: one.predicted[places[label]] for label, one in methods.items()}
    kinds = agreement(truth, np.stack([*predicted.values()]))
    chosen = _choose(truth, kinds, subject.request.seed)
    likely = {label: _probabilities(subject, one, places[label][chosen]) for label, one in methods.items()}
    pictures = sample_pictures(manifest, first.of.frames or "image", common[chosen])
    samples = [
        Sample(
            picture,
            int(truth[place]),
            {label: values[k] for label, values in likely.items()},
            {label: int(classes[place]) for label, classes in predicted.items()},
        )
        for k, (place, picture) in enumerate(zip(chosen, pictures, strict=True))
        if picture is not None
    ]
    of = first.of
    title = f"{legible(of.dataset)} · {legible(of.backbone)} · {legible(of.prompts)}"
    title += f"\n{_counts(kinds)}" if len(methods) > 1 else ""
    return samples_figure(samples, manifest.classes, title) if samples else None


def _counts(kinds: np.ndarray) -> str:
    """How many samples of which kind there are: the sheet shows as many of one as of another."""
    found = {kind: int((kinds == kind).sum()) for kind in KINDS}
    if found[ALIKE] == len(kinds):
        return f"of {len(kinds):,} samples all are predicted alike: these are some of them"
    return f"of {len(kinds):,} samples, compared with A: " + ", ".join(
        f"{count:,} {kind}" for kind, count in found.items()
    )


def _probabilities(subject: Subject, one: Predictions, places: np.ndarray) -> np.ndarray:
    """(k, classes) of some samples; NaN for a head whose scores no probabilities follow from."""
    head = subject.head(one.of)
    assert one.similarity is not None
    some = one.similarity[places]
    if not isinstance(head, Classifier):
        return probabilities(some, LOGIT_SCALE)
    return probabilities(some, 1.0) if gives_logits(head) else np.full(some.shape, np.nan)


def _choose(labels: np.ndarray, kinds: np.ndarray, seed: int) -> list[int]:
    """Positions of a few random samples: repaired and broken ones in turn, then others that differ.

    Where all are predicted alike it is any of them, in the order of their classes.
    """
    drawn = np.random.default_rng(seed).permutation(len(labels))
    repaired, broken, otherwise, alike = (_classes_in_turn(drawn[kinds[drawn] == kind], labels) for kind in KINDS)
    in_turn = [one for pair in zip_longest(repaired, broken) for one in pair if one is not None]
    differ = [*in_turn, *otherwise]
    return differ[:_SAMPLES] if differ else sorted(alike[:_SAMPLES], key=lambda one: labels[one])


def _classes_in_turn(drawn: np.ndarray, labels: np.ndarray) -> list[int]:
    """Positions in an order in which every class comes once before any does twice."""
    turn = np.empty(len(drawn), dtype=int)
    for label in np.unique(labels[drawn]):
        here = labels[drawn] == label
        turn[here] = np.arange(here.sum())
    return drawn[np.argsort(turn, kind="stable")].tolist()
