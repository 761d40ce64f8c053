"""How accuracy grows with the number of samples that heads learn from."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from .legibility import COLOURS, LONG, MARKERS, legible

Line = Mapping[int, Sequence[float]]
"""By number of shots the UAR in percent of each seed."""
_APART = 1.03
"""By which factor the points of lines are moved to the side, so that none hides another."""


def shots_figure(panels: Mapping[str, Mapping[str, Line]], plain: float | None, title: str) -> Figure:
    """A panel for each way of learning with a line for each kind of head: UAR over shots, mean of seeds.

    Bars are the sample standard deviation over seeds. `plain` is the UAR without a head, which is a horizontal line.
    """
    figure = Figure(figsize=(1.2 + 4.8 * len(panels), 4.2), layout="constrained")
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    kinds = dict.fromkeys(kind for lines in panels.values() for kind in lines)
    looks = dict(zip(kinds, cycle(zip(COLOURS[1:], MARKERS[1:], strict=True)), strict=False))
    every = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axes, (name, lines) in zip(every, panels.items(), strict=True):
        if plain is not None:
            axes.axhline(plain, color=COLOURS[0], linewidth=1.6, linestyle="--", label="no head, no sample")
        for k, (kind, line) in enumerate(lines.items()):
            shots, (colour, marker) = np.array(sorted(line)), looks[kind]
            means = [np.mean(line[n]) for n in shots.tolist()]
            deviations = [np.std(line[n], ddof=1) if len(line[n]) > 1 else 0 for n in shots.tolist()]
            places = shots * _APART ** (k - (len(lines) - 1) / 2)
            how = {"color": colour, "marker": marker, "markersize": 5, "linewidth": 1.6, "elinewidth": 0.9}
            axes.errorbar(places, means, yerr=deviations, label=legible(kind, LONG), **how)
        _finish(axes, name, sorted({n for line in lines.values() for n in line}))
    every[0].set_ylabel("UAR, %: mean ± deviation over seeds")
    handles = {label: one for axes in every for one, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    place = {"loc": "outside lower left", "frameon": False, "fontsize": 9}
    figure.legend(handles.values(), handles.keys(), ncols=2 * len(panels), **place)
    return figure


def _finish(axes, name: str, shots: Sequence[int]) -> None:
    axes.set_title(legible(name, LONG), fontsize=10, loc="left")
    axes.set_xscale("log", base=2)
    axes.set_xticks(shots, map(str, shots))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("shots: labelled samples of each class")
    axes.grid(axis="y", color="#e6e8ec", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", length=0, labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)
