"""The score table of the page."""

from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from ...reports.legibility import LONG, legible
from ...reports.page.page import Grid
from ...reports.read_scores import Written
from ...scoring.intervals import Interval, Intervals
from ...scoring.scores import ALL, Score

_TEXTS = ("evaluation", "data set", "fold", "backbone", "head", "seed", "prompts", "protocol")
_INTERVALS = ("UAR, 95 %", "WAR, 95 %", "gain, 95 %")
_COLUMNS = (*_TEXTS, "samples", "failed", "UAR", "UAR, 95 %", "WAR", "WAR, 95 %", "gain", "gain, 95 %")
_DIGITS = {"samples": 0, "failed": 0, "UAR": 2, "WAR": 2, "gain": 2}
_FILTERS = ("evaluation", "data set", "fold", "backbone", "head", "prompts", "protocol")


def score_grid(evaluations: Mapping[str, Written]) -> Grid:
    """A row for each score; columns of folds, seeds, protocols and failures are left out where they tell nothing."""
    scores = [(name, one) for name, written in evaluations.items() for one in written.scores]
    rows = [_row(name, one) for name, one in scores]
    left_out = {"evaluation"} if len(evaluations) == 1 else set()
    left_out |= {"fold"} if all(one.fold == ALL for _, one in scores) else set()
    left_out |= {"seed"} if all(one.of.seed is None for _, one in scores) else set()
    left_out |= {"protocol"} if len({one.of.protocol for _, one in scores}) == 1 else set()
    left_out |= {"failed"} if not any(one.n_failed for _, one in scores) else set()
    left_out |= {name for name in _INTERVALS if all(not row[_COLUMNS.index(name)] for row in rows)}
    kept = [name for name in _COLUMNS if name not in left_out]
    places = [_COLUMNS.index(name) for name in kept]
    return Grid(
        kept,
        [[row[place] for place in places] for row in rows],
        filters=[name for name in _FILTERS if name in kept],
        unsorted=[name for name in _INTERVALS if name in kept],
        bold=_best(scores, {name: kept.index(name) for name in ("UAR", "WAR")}),
        digits={name: digits for name, digits in _DIGITS.items() if name in kept},
    )


def _row(evaluation: str, score: Score) -> list:
    of, certain = score.of, score.certainty
    texts = (evaluation, of.dataset, score.fold, of.backbone, of.head_label, of.seed, of.prompts, of.protocol)
    return [
        *("" if text is None else legible(str(text), LONG) for text in texts),
        *(score.n, score.n_failed),
        *_with_ends(score.uar, certain.score if certain else None, "uar", "{:.1f} to {:.1f}"),
        *_with_ends(score.war, certain.score if certain else None, "war", "{:.1f} to {:.1f}"),
        *_with_ends(None, certain.gain if certain else None, "uar", "{:+.1f} to {:+.1f}"),
    ]


def _with_ends(value: float | None, found: Intervals | None, metric: str, ends: str) -> tuple[float | None, str]:
    """A number and its interval, each empty where there is none."""
    one: Interval | None = getattr(found, metric) if found else None
    value = one.value if value is None and one else value
    is_there = value is not None and np.isfinite(value)
    return (value if is_there else None), ends.format(one.low, one.high) if one else ""


def _best(scores: list[tuple[str, Score]], columns: Mapping[str, int]) -> dict[int, list[int]]:
    """By row the columns of the best UAR and WAR of a data set, of all that is scored of it."""
    bold: dict[int, list[int]] = defaultdict(list)
    for metric, column in (("uar", columns["UAR"]), ("war", columns["WAR"])):
        best: dict[str, float] = {}
        for _, one in scores:
            value = round(float(getattr(one, metric)), 2)
            if one.is_overall and np.isfinite(value):
                best[one.of.dataset] = max(value, best.get(one.of.dataset, value))
        for place, (_, one) in enumerate(scores):
            if one.is_overall and round(getattr(one, metric), 2) == best.get(one.of.dataset):
                bold[place].append(column)
    return dict(bold)
