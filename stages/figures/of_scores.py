"""Figures of what is predicted: confusion matrices side by side, and samples with probabilities."""

from collections.abc import Sequence
from functools import reduce

import numpy as np
from matplotlib.figure import Figure

from ...heads.recipe import LOGIT_SCALE
from ...reports.confusion import comparison_figure
from ...reports.legibility import legible
from ...reports.sample_sheet import Sample, samples_figure
from ...reports.tables import rows_by_head
from ...scoring.reliability import probabilities
from ...scoring.scores import Predictions, Score
from ..sample_pictures import sample_pictures
from .subject import MOST_ROWS, Named, Subject

_SAMPLES = 8


def draw_confusion(subject: Subject) -> Named:
    """The matrices of all heads side by side, for each prompt set."""
    for name, part in subject.by_prompts():
        yield f"confusion-{name}", comparison_figure(_rows(part.scores))


def draw_samples(subject: Subject) -> Named:
    """Pictures with what heads say of them, for each prompt set; left out where the pictures are gone."""
    for name, part in subject.by_prompts():
        sheet = _sample_sheet(part.predictions, _rows(part.scores), subject.request.seed)
        yield f"samples-{name}", sheet or "none of the pictures can be read any more"


def _rows(scores: Sequence[Score]) -> dict[str, list[Score]]:
    return rows_by_head([score for score in scores if score.is_overall])


def _sample_sheet(predictions: Sequence[Predictions], rows: dict[str, list[Score]], seed: int) -> Figure | None:
    """Samples drawn at random, one per class while there are classes; the first head of each row predicts."""
    first = predictions[0]
    manifest = first.manifest
    by_head = {one.of.head_id: one for one in predictions}
    firsts = [by_head[scores[0].of.head_id] for scores in list(rows.values())[:MOST_ROWS]]
    common = reduce(np.intersect1d, (one.samples for one in firsts))  # heads of some folds score these alone
    chosen = _choose(manifest.labels[common], seed)
    cosines = {
        one.of.seed_label: one.similarity[np.isin(one.samples, common)]
        for one in firsts
        if one.similarity is not None
    }
    likely = {label: probabilities(values, LOGIT_SCALE) for label, values in cosines.items()}
    pictures = sample_pictures(manifest, first.of.frames or "image", common[chosen])
    samples = [
        Sample(picture, truth, {label: values[k] for label, values in likely.items()})
        for k, truth, picture in zip(chosen, manifest.labels[common[chosen]].tolist(), pictures, strict=True)
        if picture is not None
    ]
    of = first.of
    title = f"{legible(of.dataset)} · {legible(of.backbone)} · {legible(of.prompts)}"
    return samples_figure(samples, manifest.classes, title) if samples else None


def _choose(labels: np.ndarray, seed: int) -> np.ndarray:
    """Positions of a few random samples, in the order of their classes, every class once before any twice."""
    order = np.random.default_rng(seed).permutation(len(labels))
    turn = np.empty(len(labels), dtype=int)
    for label in np.unique(labels):
        here = order[labels[order] == label]
        turn[here] = np.arange(len(here))
    chosen = order[np.argsort(turn[order], kind="stable")][:_SAMPLES]
    return chosen[np.argsort(labels[chosen], kind="stable")]
