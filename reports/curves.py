"""How the loss of heads fell while they were fitted."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from .legibility import COLOURS, LONG, legible


def curves_figure(curves: Mapping[str, Mapping[str, Sequence[np.ndarray]]], title: str) -> Figure:
    """A panel for each objective with, by the name of a row, the losses (steps,) of each of its seeds.

    The loss is on a logarithmic axis. Single steps are thin; the line is their mean over a hundredth of all steps.
    """
    figure = Figure(figsize=(9, 0.8 + 3.4 * len(curves)), layout="constrained")
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    panels = figure.subplots(len(curves), squeeze=False)[:, 0]
    every_row = dict.fromkeys(row for rows in curves.values() for row in rows)
    colours = dict(zip(every_row, cycle(COLOURS[1:]), strict=False))
    for axes, (objective, rows) in zip(panels, curves.items(), strict=True):
        for row, seeds in rows.items():
            for k, losses in enumerate(seeds):
                steps = np.arange(1, len(losses) + 1)
                axes.plot(steps, losses, color=colours[row], linewidth=0.6, alpha=0.3)
                label = legible(row, LONG) if k == 0 else None
                axes.plot(*_smooth(steps, losses), color=colours[row], linewidth=1.6, label=label)
        axes.set_yscale("log")
        for which in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
            which(LogFormatter(labelOnlyBase=False, minor_thresholds=(2, 1)))
        axes.set_xlabel("step")
        axes.set_ylabel(f"{legible(objective)} loss of a batch")
        axes.margins(x=0.01)
        axes.grid(axis="y", color="#e6e8ec", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(which="both", length=0, labelsize=9)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=9)
    return figure


def _smooth(steps: np.ndarray, losses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Steps and losses, both as running means."""
    length = max(1, len(losses) // 100)
    window = np.full(length, 1 / length)
    return np.convolve(steps, window, mode="valid"), np.convolve(losses, window, mode="valid")
