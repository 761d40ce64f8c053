"""Confusion matrices side by side: plain CLIP and what heads make of it."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .figures import INK, matrix_panel, note_untrained, shares
from .scores import Score
from .tables import spread

_PANEL, _LABELS, _BAR = 3.5, 1.2, 0.9
"""Inches: the width of a matrix, and what the labels and the colour bar add."""


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
        axes.set_title(f"{label}\nUAR {spread([one.uar for one in scores])} %", fontsize=10, color=INK, loc="left")
    panels[0].set_ylabel("true")
    assert image is not None
    bar = figure.colorbar(image, ax=panels, label="% of the true class", fraction=0.02, pad=0.01)
    bar.ax.spines[:].set_visible(False)
    title = f"{first.of.dataset} · {first.of.backbone} · {first.of.prompts} · {first.n:,} samples"
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    note_untrained(figure, (score for scores in rows.values() for score in scores))
    return figure
