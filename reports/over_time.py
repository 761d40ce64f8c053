"""What a video shows, frame by frame."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .legibility import INK, legible

_NAMED = 4
"""Classes that are drawn in colour, those that are likeliest at some time."""
_COLOURS = ("#00798c", "#d1495b", "#edae49", "#6a4c93")
_MARKERS = ("o", "s", "^", "D")
_FAINT = "#c4c8ce"


def over_time(frames: Sequence[int], shares: np.ndarray, classes: Sequence[str], title: str) -> Figure:
    """Curves of probabilities (frames, classes) over frame numbers; those of less likely classes are grey."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots()
    figure.suptitle(legible(title, 100), fontsize=11, x=0.01, ha="left", color=INK)
    order = np.argsort(-shares.max(axis=0), kind="stable")
    for k in order[_NAMED:]:
        axes.plot(frames, shares[:, k], color=_FAINT, linewidth=1)
    every = max(1, len(frames) // 16)
    for rank, k in enumerate(order[:_NAMED]):
        known: dict[str, Any] = {"color": _COLOURS[rank], "marker": _MARKERS[rank]}
        known |= {"label": legible(classes[int(k)], 24), "markevery": every, "markersize": 5}
        axes.plot(frames, shares[:, k], **known)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("frame")
    axes.set_ylabel("probability")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)
    return figure
