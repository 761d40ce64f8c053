"""Figures."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from .scores import Score
from .tables import UNTRAINED_NOTE

_INK = "#1b2a41"
_WARNING = "#a3333d"
_CELL, _LEFT, _RIGHT, _TOP, _BOTTOM = 0.56, 1.75, 0.95, 0.85, 1.35
"""Inches: a cell, and the margins around the matrix. Fixed margins draw twice as fast as fitted ones."""


def confusion_figure(score: Score, path: Path) -> None:
    """Draw a confusion matrix as a PNG: row-normalised shares in percent, colour-blind safe."""
    support = score.confusion.sum(axis=1, keepdims=True)
    shares = 100 * score.confusion / np.maximum(support, 1)
    side = _CELL * len(score.classes)
    width, height = _LEFT + side + _RIGHT, _BOTTOM + side + _TOP
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((_LEFT / width, _BOTTOM / height, side / width, side / height))
    image = axes.imshow(shares, cmap="cividis", vmin=0, vmax=100, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        colour = "white" if share < 55 else _INK
        axes.text(column, row, f"{share:.0f}", ha="center", va="center", color=colour, fontsize=9)
    ticks = range(len(score.classes))
    axes.set_xticks(ticks, score.classes, rotation=40, ha="right", rotation_mode="anchor", fontsize=9)
    axes.set_yticks(ticks, [f"{c} ({n})" for c, n in zip(score.classes, support[:, 0], strict=True)], fontsize=9)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true (samples)")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(_title(score), fontsize=10, color=_INK, loc="left")
    legend = figure.add_axes(((_LEFT + side + 0.15) / width, _BOTTOM / height, 0.16 / width, side / height))
    bar = figure.colorbar(image, cax=legend)
    bar.set_label("% of the true class", fontsize=9)
    bar.ax.tick_params(length=0, labelsize=8)
    legend.spines[:].set_visible(False)
    if score.of.untrained:
        figure.text(0.02, 0.02, UNTRAINED_NOTE.replace(": ", ":\n"), fontsize=8, color=_WARNING)
    figure.savefig(path, dpi=110)


def _title(score: Score) -> str:
    seed = "" if score.of.seed is None else f" · seed {score.of.seed}"
    return (
        f"{score.of.dataset} · {score.of.backbone} · {score.of.prompts}\n"
        f"{score.of.head_label}{seed}\nUAR {score.uar:.2f} %   WAR {score.war:.2f} %"
    )
