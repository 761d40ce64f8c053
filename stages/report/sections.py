"""A part of the page for each data set and backbone: gains, seeds, recalls, reliability, confusion matrices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...reports.confusion import MOST_DRAWN, shares
from ...reports.legibility import LONG, legible, legible_classes
from ...reports.page import charts
from ...reports.tables import mean_bounds, spread
from ...scoring.intervals import Interval
from ...scoring.reliability import Reliability
from .shown import Group, Row

MOST_ROWS = 40
"""Of one chart; the score table has all."""


@dataclass(frozen=True, eq=False)
class Part:
    """A chart, what it shows, and its numbers as a table."""

    title: str
    about: str
    chart: str = ""
    """Its name; empty where there is nothing to draw."""
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


@dataclass(frozen=True, eq=False)
class Matrix:
    """A confusion matrix in percent of the true class."""

    name: str
    about: str
    percent: Sequence[Sequence[int]]


@dataclass(frozen=True, eq=False)
class Section:
    """What the page says of one data set under one backbone."""

    title: str
    chosen: str
    """Which rows are shown in full."""
    key: Sequence[str]
    """Their names."""
    classes: Sequence[str]
    parts: Sequence[Part]
    charts: Mapping[str, charts.Figure]
    matrices: Sequence[Matrix]


def section(group: Group, reliabilities: Mapping[tuple[Group, Row], Reliability]) -> Section:
    """The part of a group."""
    drawn: dict[str, charts.Figure] = {}
    found = {place: reliabilities.get((group, row)) for place, row in enumerate(group.shown)}
    known = {place: one for place, one in found.items() if one}
    parts = [_gains(group, drawn), _seeds(group, drawn), _recalls(group, drawn), _reliability(group, known, drawn)]
    classes = group.shown[0].first.classes
    few = len(classes) <= MOST_DRAWN
    names = (group.evaluation, group.dataset, group.backbone)
    return Section(
        title=" · ".join(legible(name, LONG) for name in names if name),
        chosen="the best prompts of the backbone as it is, and of the best heads; seeds are taken together.",
        key=[legible(row.name, LONG) for row in group.shown],
        classes=legible_classes(classes),
        parts=parts,
        charts=drawn,
        matrices=[_matrix(row) for row in group.shown] if few else [],
    )


def _gains(group: Group, drawn: dict[str, charts.Figure]) -> Part:
    title, over = "Gains", legible(group.scores[0].of.zero_shot)
    found = {row.name: gain for row in group.rows if (gain := _gain(row))}
    if not found:
        return Part(title, f"No gain over {over} is known: heads and {over} are scored together, with intervals.")
    best = sorted(found.items(), key=lambda one: one[1].value, reverse=True)
    drawn["gains"] = charts.gains_chart(dict(best[:MOST_ROWS]), over)
    about = f"What each row adds to the UAR of {over} on the same samples, in points, with 95 % intervals."
    rows = [(legible(name, LONG), f"{one.value:+.2f}", f"{one.low:+.2f} to {one.high:+.2f}") for name, one in best]
    return Part(title, about + _cut(len(best)), "gains", ("row", "gain", "95 %"), rows[:MOST_ROWS])


def _gain(row: Row) -> Interval | None:
    """In UAR, mean over seeds, and the mean ends as in the tables of an evaluation."""
    gains = [one.certainty.gain.uar for one in row.scores if one.certainty and one.certainty.gain]
    if not gains:
        return None
    return Interval(float(np.mean([one.value for one in gains])), *map(float, mean_bounds(gains)))


def _seeds(group: Group, drawn: dict[str, charts.Figure]) -> Part:
    title = "Spread over seeds"
    several = {row.name: [one.uar for one in row.scores] for row in group.rows if len(row.scores) > 1}
    found = {name: values for name, values in several.items() if np.isfinite(values).all()}
    if not found:
        return Part(title, "No head was fitted with several seeds.")
    best = sorted(found.items(), key=lambda one: np.mean(one[1]), reverse=True)
    drawn["seeds"] = charts.seeds_chart(dict(best[:MOST_ROWS]))
    rows = [(legible(name, LONG), str(len(values)), spread(values)) for name, values in best]
    about = "The UAR of each seed (circles) and their mean (a stroke)."
    return Part(title, about + _cut(len(best)), "seeds", ("row", "seeds", "UAR"), rows[:MOST_ROWS])


def _cut(rows: int) -> str:
    return f" The best {MOST_ROWS} of {rows:,} rows; the score table has all." if rows > MOST_ROWS else ""


def _recalls(group: Group, drawn: dict[str, charts.Figure]) -> Part:
    title, shown = "Recall per class", group.shown
    classes = shown[0].first.classes
    alike = [row for row in shown if row.first.classes == classes]
    if len(classes) > MOST_DRAWN or len(alike) < len(shown):
        return Part(title, "It is not drawn: too many classes, or rows of different ones.")
    drawn["recall"] = charts.recall_chart([row.recall for row in shown], classes)
    percent = [[f"{100 * value:.1f}" if np.isfinite(value) else "–" for value in row.recall] for row in shown]
    rows = [(name, *of_class) for name, *of_class in zip(legible_classes(classes), *percent, strict=True)]
    columns = ("class", *(legible(row.name, LONG) for row in shown))
    return Part(title, "The share of each class that is found, in percent.", "recall", columns, rows)


def _reliability(group: Group, known: Mapping[int, Reliability], drawn: dict[str, charts.Figure]) -> Part:
    title = "Reliability"
    if not known:
        return Part(title, "No probabilities are known: evaluate with predictions as Parquet, the usual.")
    drawn["reliability"] = charts.reliability_chart(known)
    names = {place: legible(group.shown[place].name, LONG) for place in known}
    rows = [
        (names[place], f"{100 * a:.1f}", f"{100 * b:.1f}", f"{n:,}")
        for place, one in known.items()
        for a, b, n in zip(one.confidence, one.accuracy, one.counts, strict=True)
    ]
    errors = "; ".join(f"{names[place]}: {one.error:.1f} %" for place, one in known.items())
    about = (
        "How often a prediction of some confidence is right; on the dotted line it is as often as it says. "
        f"Expected calibration error: {errors}."
    )
    return Part(title, about, "reliability", ("row", "confidence, %", "right, %", "samples"), rows)


def _matrix(row: Row) -> Matrix:
    percent = np.mean([shares(one.confusion) for one in row.scores], axis=0)
    about = f"UAR {spread([one.uar for one in row.scores])} %, {row.first.n:,} samples"
    return Matrix(legible(row.name, LONG), about, np.rint(percent).astype(int).tolist())
