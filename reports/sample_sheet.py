"""Sample predictions: pictures beside the probabilities that plain CLIP and heads give them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from .legibility import COLOURS, INK, LONG, legible, legible_classes

_COLUMNS = 2


@dataclass(frozen=True, eq=False)
class Sample:
    """One picture and what is said of it."""

    picture: np.ndarray
    """(height, width, 3) uint8."""
    truth: int
    probabilities: Mapping[str, np.ndarray]
    """(classes,) by the name of what predicts."""


def samples_figure(samples: Sequence[Sample], classes: Sequence[str], title: str) -> Figure:
    """A sheet of samples, each with a group of bars for each class. Source: Exp-CLIP, figure E."""
    rows = -(-len(samples) // _COLUMNS)
    figure = Figure(figsize=(11, 0.9 + 1.95 * rows), layout="constrained")
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    cells = figure.subplots(rows, 2 * _COLUMNS, width_ratios=(1, 2.6) * _COLUMNS, squeeze=False)
    for axes in cells.flat:
        axes.set_axis_off()
    for k, sample in enumerate(samples):
        row, column = divmod(k, _COLUMNS)
        picture, bars = cells[row, 2 * column], cells[row, 2 * column + 1]
        picture.imshow(sample.picture)
        picture.set_title(legible(classes[sample.truth]), fontsize=10, color=INK)
        _draw_bars(bars, sample, classes)
    names = list(samples[0].probabilities)
    handles = [Patch(color=colour, label=legible(name, LONG)) for name, colour in zip(names, COLOURS, strict=False)]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(names), frameon=False, fontsize=9)
    return figure


def _draw_bars(axes: Axes, sample: Sample, classes: Sequence[str]) -> None:
    axes.set_axis_on()
    share = 0.8 / len(sample.probabilities)
    for k, (values, colour) in enumerate(zip(sample.probabilities.values(), COLOURS, strict=False)):
        axes.bar(np.arange(len(classes)) - 0.4 + (k + 0.5) * share, values, share, color=colour)
    names = legible_classes(classes)
    axes.set_xticks(range(len(classes)), names, rotation=30, ha="right", rotation_mode="anchor", fontsize=8)
    axes.get_xticklabels()[sample.truth].set_fontweight("bold")
    axes.set_ylim(0, 1)
    axes.set_yticks((0, 0.5, 1), ("0", "½", "1"), fontsize=8)
    axes.tick_params(length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
