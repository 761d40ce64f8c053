"""Confusion matrices, one or several side by side, and what all figures share."""

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from ..scoring.scores import Score
from .legibility import INK, LONG, legible, legible_classes
from .tables import UNTRAINED_NOTE, spread
from .text_room import widest, wrapped

_WARNING = "#a3333d"
_TRANSDUCTIVE = "transductive: all test samples were looked at\ntogether, without their labels"
_MAP = "Blues"
"""Light where there is little, as most of a matrix is; one hue, so that eyes that mix up colours see the same."""
_FAINT = "#9aa5b4"
"""Of zeros and of the lines between cells."""
_PANEL, _BAR = 3.1, 0.9
"""Inches, side by side: the least width of a matrix, and what the colour bar adds."""
_LEAST_CELL, _MOST_PANEL = 0.25, 10.0
"""Inches: matrices of many classes are wider, so that their numbers can be read, up to what a page may hold."""
_LEAST_POINTS = 4.0
"""Of numbers; smaller ones are left out."""
_CELL, _LEAST_SIDE, _RIGHT = 0.56, 2.2, 0.95
"""Inches: a cell of a matrix alone, its least width, and the margin beside it."""
_TITLE_LINE, _NOTE_LINE = 0.17, 0.14
"""Inches."""
_DARK = 55.0
"""Percent, above which white numbers are legible."""
_SLOPE, _ASIDE = 0.64, 0.77
"""How far down and how far aside a name at the axis reaches, by its width: the sine and the cosine of its angle."""

literal_text = rc_context({"text.parse_math": False})
"""Decorates what draws names of classes and data sets, which are no formulas: in it a dollar sign is one."""


MOST_DRAWN = 100
"""More make a figure that no page holds."""


@literal_text
def confusion_figure(score: Score, paths: Sequence[Path]) -> None:
    """Draw a confusion matrix into files: row-normalised shares in percent, colour-blind safe."""
    names = _with_samples(score)
    side = max(_CELL * len(names), _LEAST_SIDE)
    left = 0.55 + widest(names, 9)
    width = left + side + _RIGHT
    title = wrapped(_title(score), 10, width - 0.3)
    note = doubts([score])
    bottom = 0.55 + _SLOPE * widest(legible_classes(score.classes), 9) + _NOTE_LINE * len(note.splitlines())
    top = 0.35 + _TITLE_LINE * title.count("\n")
    height = bottom + side + top
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((left / width, bottom / height, side / width, side / height))
    image = matrix_panel(axes, shares(score.confusion), score.classes, side)
    axes.set_yticks(axes.get_yticks(), names)
    axes.set_ylabel("true (samples)")
    figure.text(0.1 / width, 1 - 0.1 / height, title, fontsize=10, color=INK, va="top")
    legend = figure.add_axes(((left + side + 0.15) / width, bottom / height, 0.16 / width, side / height))
    bar = figure.colorbar(image, cax=legend)
    bar.set_label("% of the true class", fontsize=9)
    bar.ax.tick_params(length=0, labelsize=8)
    legend.spines[:].set_visible(False)
    figure.text(0.1 / width, 0.1 / height, note, fontsize=8, color=_WARNING)
    for path in paths:
        save_figure(figure, path, dpi=110)


def _with_samples(score: Score) -> list[str]:
    """The classes, each with how many samples are truly of it."""
    support = score.confusion.sum(axis=1).tolist()
    return [f"{name} ({n:,})" for name, n in zip(legible_classes(score.classes), support, strict=True)]


def save_figure(figure: Figure, path: Path, dpi: int) -> None:
    """Write a figure in the format that its name says. Raises OSError where the disk refuses a part of it.

    It is made in memory: Pillow takes no notice of a disk that has room for some of the bytes only.
    """
    content = io.BytesIO()
    kind = path.suffix[1:]
    undated = {"CreationDate": None} if kind == "pdf" else None  # so that the same figure is the same file
    figure.savefig(content, dpi=dpi, format=kind, metadata=undated)
    path.write_bytes(content.getbuffer())


def shares(confusion: np.ndarray) -> np.ndarray:
    """(classes, classes) counts to percent of the true class; NaN for a class without a sample."""
    support = confusion.sum(axis=1, keepdims=True)
    return np.where(support, 100 * confusion / np.maximum(support, 1), np.nan)


def matrix_panel(axes: Axes, percent: np.ndarray, classes: Sequence[str], inches: float) -> AxesImage:
    """Draw (classes, classes) percentages with their numbers, true by predicted, in a map for colour-blind eyes.

    A row of NaN is left blank. The numbers are as large as the cells of a matrix so wide have room for.
    """
    image = axes.imshow(percent, cmap=_MAP, vmin=0, vmax=100, aspect="auto")
    points = min(9.0, 0.38 * 72 * inches / len(classes))
    known = np.argwhere(~np.isnan(percent))
    for row, column in known if points >= _LEAST_POINTS else ():
        number = f"{percent[row, column]:.0f}"
        colour = "white" if percent[row, column] > _DARK else _FAINT if number == "0" else INK
        axes.text(column, row, number, ha="center", va="center", color=colour, fontsize=points)
    ticks, names = range(len(classes)), legible_classes(classes)
    axes.set_xticks(ticks, names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(ticks, names)
    axes.set_xlabel("predicted")
    axes.tick_params(length=0, labelsize=min(9.0, 1.8 * points))
    _frame_rows(axes, ~np.isnan(percent[:, 0]))
    axes.spines[:].set_visible(False)
    return image


def _frame_rows(axes: Axes, is_known: np.ndarray) -> None:
    """Fine lines around the rows that hold numbers, as most of their cells are as light as the page."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], is_known, [False])).astype(int)))
    for first, end in edges.reshape(-1, 2).tolist():
        box = Rectangle(
            (-0.5, first - 0.5),
            len(is_known),
            end - first,
            fill=False,
            edgecolor=_FAINT,
            linewidth=0.6,
            clip_on=False,
        )
        axes.add_patch(box)


def doubts(scores: Iterable[Score]) -> str:
    """What has to be said where untrained weights are behind a score, or all test samples together."""
    behind = [score.of for score in scores]
    notes = [UNTRAINED_NOTE.replace(": ", ":\n")] if any(of.untrained for of in behind) else []
    notes += [_TRANSDUCTIVE] if any(of.adapted for of in behind) else []
    return "\n".join(notes)


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
    every = [score for scores in rows.values() for score in scores]
    first = every[0]
    panel = min(max(_PANEL, _LEAST_CELL * len(first.classes)), _MOST_PANEL)
    titles = [
        wrapped(f"{legible(label, LONG)}\nUAR {spread([one.uar for one in scores])} %", 10, panel, " ")
        for label, scores in rows.items()
    ]
    names = _with_samples(first)
    below = widest(legible_classes(first.classes), 9)
    width = 0.4 + widest(names, 9) + (panel + _ASIDE * below) * len(rows) + _BAR
    height = panel + 0.9 + _SLOPE * below + _TITLE_LINE * max(title.count("\n") for title in titles)
    height += _NOTE_LINE * len(doubts(every).splitlines())
    figure = Figure(figsize=(width, height), layout="constrained")
    panels: Sequence[Axes] = figure.subplots(1, len(rows), sharey=True, squeeze=False)[0]
    image = None
    for axes, scores, title in zip(panels, rows.values(), titles, strict=True):
        image = matrix_panel(axes, np.mean([shares(one.confusion) for one in scores], axis=0), first.classes, panel)
        axes.set_title(title, fontsize=10, color=INK, loc="left")
    panels[0].set_ylabel("true")
    if all(_with_samples(score) == names for score in every):
        panels[0].set_yticks(panels[0].get_yticks(), names)
        panels[0].set_ylabel("true (samples)")
    assert image is not None
    bar = figure.colorbar(image, ax=panels, label="% of the true class", fraction=0.02, pad=0.01)
    bar.ax.spines[:].set_visible(False)
    of = first.of
    title = f"{legible(of.dataset)} · {legible(of.backbone)} · {legible(of.prompts)} · {first.n:,} samples"
    figure.suptitle(wrapped(title, 11, width - 0.3), fontsize=11, x=0.01, ha="left")
    if note := doubts(every):
        figure.supxlabel(note, fontsize=8, color=_WARNING, x=0.01, ha="left")
    return figure
