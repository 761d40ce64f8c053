"""Sample predictions: pictures beside the probabilities that plain CLIP and heads give them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ..scoring.agreement import ALIKE, BROKEN, OTHERWISE, agreement
from .legibility import COLOURS, INK, LONG, legible, legible_classes
from .text_room import columns_that_fit, widest, wrapped

_COLUMNS = 2
_WIDTH = 11
"""Inches."""
_LETTERS = "ABCD"
"""What the methods are called where there is no room for their names; colours alone do not tell them apart."""
_MOST_CLASSES = 10
"""Beside a picture; of more the names would lie on each other."""
_TRUE, _TRUE_CLASS = "#e4e8ee", "true class; letters stand over the predicted ones"
"""Behind the bars of the true class."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One picture and what is said of it."""

    picture: np.ndarray
    """(height, width, 3) uint8."""
    truth: int
    probabilities: Mapping[str, np.ndarray]
    """(classes,) by the name of what predicts; NaN where it gives none."""
    predicted: Mapping[str, int]
    """A class by the same names; the first is what others are compared with."""


def samples_figure(samples: Sequence[Sample], classes: Sequence[str], title: str) -> Figure:
    """A sheet of samples, each with a group of bars for each class. Source: Exp-CLIP, figure E.

    The true class is bold on a shade, the letter of a method stands over the class that it predicts.
    """
    rows = -(-len(samples) // _COLUMNS)
    names = [
        f"{letter}   {legible(name, LONG)}" for letter, name in zip(_LETTERS, samples[0].predicted, strict=False)
    ]
    columns = columns_that_fit([*names, _TRUE_CLASS], 9, _WIDTH)
    row_height = 1.75 + 0.5 * widest(legible_classes(classes), 8)
    legend_height = 0.2 * -(-(len(names) + 1) // columns)
    figure = Figure(figsize=(_WIDTH, 0.7 + row_height * rows + legend_height), layout="constrained")
    figure.suptitle(wrapped(title, 11, _WIDTH - 0.3), fontsize=11, x=0.01, ha="left")
    cells = figure.subplots(rows, 2 * _COLUMNS, width_ratios=(1, 2.6) * _COLUMNS, squeeze=False)
    for axes in cells.flat:
        axes.set_axis_off()
    for k, sample in enumerate(samples):
        row, column = divmod(k, _COLUMNS)
        picture, bars = cells[row, 2 * column], cells[row, 2 * column + 1]
        picture.imshow(sample.picture)
        (truth,) = legible_classes([classes[sample.truth]], 16)
        picture.set_title(f"true: {truth}", fontsize=9.5, color=INK, loc="left")
        _draw_bars(bars, sample, classes)
        bars.set_title(_what_differs(sample), fontsize=9.5, color=INK, loc="left")
    handles = [Patch(color=colour, label=name) for name, colour in zip(names, COLOURS, strict=False)]
    handles.append(Patch(color=_TRUE, label=_TRUE_CLASS))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)
    return figure


def _what_differs(sample: Sample) -> str:
    """What the others make of a sample, beside the first; nothing where there are no others."""
    first, *others = sample.predicted.values()
    (kind,) = agreement(np.array([sample.truth]), np.array([[first], *([one] for one in others)]))
    if kind == ALIKE:
        return "all agree" if others else ""
    is_so = {BROKEN: lambda one: one != sample.truth, OTHERWISE: lambda one: one != first}
    means = is_so.get(kind, lambda one: one == sample.truth)
    letters = ", ".join(letter for letter, one in zip(_LETTERS[1:], others, strict=False) if means(one))
    return f"{kind}{':' if kind == OTHERWISE else ' by'} {letters}"


def _draw_bars(axes: Axes, sample: Sample, classes: Sequence[str]) -> None:
    axes.set_axis_on()
    shown = _shown_classes(sample, len(classes))
    share = 0.8 / len(sample.predicted)
    axes.axvspan(shown.index(sample.truth) - 0.5, shown.index(sample.truth) + 0.5, color=_TRUE, lw=0, zorder=0)
    looks = zip(sample.predicted.items(), COLOURS, _LETTERS, strict=False)
    for k, ((name, predicted), colour, letter) in enumerate(looks):
        values = sample.probabilities[name][shown]
        places = np.arange(len(shown)) - 0.4 + (k + 0.5) * share
        axes.bar(places, values, share, color=colour)
        place = shown.index(predicted)
        height = 0.0 if np.isnan(values[place]) else values[place]
        axes.text(places[place], height + 0.02, letter, ha="center", fontsize=7.5, fontweight="bold", color=INK)
    names = legible_classes(classes[one] for one in shown)
    axes.set_xticks(range(len(shown)), names, rotation=30, ha="right", rotation_mode="anchor", fontsize=8)
    axes.get_xticklabels()[shown.index(sample.truth)].set_fontweight("bold")
    axes.set_xlim(-0.5, len(shown) - 0.5)
    axes.set_ylim(0, 1.15)
    axes.set_yticks((0, 0.5, 1), ("0", "½", "1"), fontsize=8)
    axes.set_ylabel("probability", fontsize=8)
    axes.tick_params(length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _shown_classes(sample: Sample, n_classes: int) -> list[int]:
    """The classes beside a picture, in their order: the true and predicted ones, then the likeliest of the others."""
    likeliest = np.nanmax([np.zeros(n_classes), *sample.probabilities.values()], axis=0).argsort()[::-1]
    first = dict.fromkeys([sample.truth, *sample.predicted.values(), *likeliest.tolist()])
    return sorted(list(first)[:_MOST_CLASSES])
