"""Confusion matrices, one or several side by side, and what all figures share."""

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from ..scoring.scores import Score
from .legibility import INK, LONG, legible, legible_classes
from .tables import UNTRAINED_NOTE, spread

_WARNING = "#a3333d"
_TRANSDUCTIVE = "transductive: all test samples were looked at\ntogether, without their labels"
_PANEL, _LABELS, _BAR = 3.5, 1.2, 0.9
"""Inches, side by side: the width of a matrix, and what the labels and the colour bar add."""
_CELL, _LEFT, _RIGHT, _TOP, _BOTTOM = 0.56, 1.75, 0.95, 0.85, 1.35
"""Inches: a cell, and the margins around the matrix. Fixed margins draw twice as fast as fitted ones."""

literal_text = rc_context({"text.parse_math": False})
"""Decorates what draws names of classes and data sets, which are no formulas: in it a dollar sign is one."""


MOST_DRAWN = 100
"""More make a figure that no page holds."""


@literal_text
def confusion_figure(score: Score, path: Path) -> None:
    """Draw a confusion matrix as a PNG: row-normalised shares in percent, colour-blind safe."""
    support = score.confusion.sum(axis=1, keepdims=True)
    side = _CELL * len(score.classes)
    width, height = _LEFT + side + _RIGHT, _BOTTOM + side + _TOP
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((_LEFT / width, _BOTTOM / height, side / width, side / height))
    image = matrix_panel(axes, shares(score.confusion), score.classes)
    axes.set_yticks(
        axes.get_yticks(), [f"{c} ({n})" for c, n in zip(legible_classes(score.classes), support[:, 0], strict=True)]
    )
    axes.set_ylabel("true (samples)")
    axes.set_title(_title(score), fontsize=10, color=INK, loc="left")
    legend = figure.add_axes(((_LEFT + side + 0.15) / width, _BOTTOM / height, 0.16 / width, side / height))
    bar = figure.colorbar(image, cax=legend)
    bar.set_label("% of the true class", fontsize=9)
    bar.ax.tick_params(length=0, labelsize=8)
    legend.spines[:].set_visible(False)
    note_doubts(figure, [score])
    save_figure(figure, path, dpi=110)


def save_figure(figure: Figure, path: Path, dpi: int) -> None:
    """Write a figure in the format that its name says. Raises OSError where the disk refuses a part of it.

    It is made in memory: Pillow takes no notice of a disk that has room for some of the bytes only.
    """
    content = io.BytesIO()
    figure.savefig(content, dpi=dpi, format=path.suffix[1:])
    path.write_bytes(content.getbuffer())


def shares(confusion: np.ndarray) -> np.ndarray:
    """(classes, classes) counts to percent of the true class; zeros for a class without a sample."""
    return 100 * confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)


def matrix_panel(axes: Axes, percent: np.ndarray, classes: Sequence[str]) -> AxesImage:
    """Draw (classes, classes) percentages with their numbers, true by predicted, in a map for colour-blind eyes."""
    image = axes.imshow(percent, cmap="cividis", vmin=0, vmax=100, aspect="auto")
    for (row, column), value in np.ndenumerate(percent):
        colour = "white" if value < 55 else INK
        axes.text(column, row, f"{value:.0f}", ha="center", va="center", color=colour, fontsize=9)
    ticks, names = range(len(classes)), legible_classes(classes)
    axes.set_xticks(ticks, names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(ticks, names)
    axes.set_xlabel("predicted")
    axes.tick_params(length=0, labelsize=9)
    axes.spines[:].set_visible(False)
    return image


def note_doubts(figure: Figure, scores: Iterable[Score]) -> None:
    """Say so in the figure where untrained weights are behind a score, or all test samples together."""
    behind = [score.of for score in scores]
    notes = [UNTRAINED_NOTE.replace(": ", ":\n")] if any(of.untrained for of in behind) else []
    notes += [_TRANSDUCTIVE] if any(of.adapted for of in behind) else []
    if notes:
        figure.text(0.02, 0.02, "\n".join(notes), fontsize=8, color=_WARNING)


def _title(score: Score) -> str:
    of = score.of
    return (
        f"{legible(of.dataset)} · {legible(of.backbone)} · {legible(of.prompts)}\n"
        f"{legible(of.seed_label, LONG)}\nUAR {score.uar:.2f} %   WAR {score.war:.2f} %"
    )


def comparison_figure(rows: Mapping[str, Sequence[Score]]) -> Figure:
    """One matrix for each row of a table of scores: shares of the true class, averaged over the row's seeds.

    `rows` holds the scores of one data set, backbone and prompt set. Source: Exp-CLIP, figures A and B.
    """
    first = next(iter(rows.values()))[0]
    width, height = _LABELS + _PANEL * len(rows) + _BAR, _PANEL + 1.7
    figure = Figure(figsize=(width, height), layout="constrained")
    panels: Sequence[Axes] = figure.subplots(1, len(rows), sharey=True, squeeze=False)[0]
    image = None
    for axes, (label, scores) in zip(panels, rows.items(), strict=True):
        percent = np.mean([shares(score.confusion) for score in scores], axis=0)
        image = matrix_panel(axes, percent, first.classes)
        axes.set_title(
            f"{legible(label, LONG)}\nUAR {spread([one.uar for one in scores])} %", fontsize=10, color=INK, loc="left"
        )
    panels[0].set_ylabel("true")
    assert image is not None
    bar = figure.colorbar(image, ax=panels, label="% of the true class", fraction=0.02, pad=0.01)
    bar.ax.spines[:].set_visible(False)
    of = first.of
    title = f"{legible(of.dataset)} · {legible(of.backbone)} · {legible(of.prompts)} · {first.n:,} samples"
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    note_doubts(figure, (score for scores in rows.values() for score in scores))
    return figure
