"""Maps of embeddings: near samples stay near, in two dimensions."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from .legibility import INK, LONG, legible, legible_classes
from .text_room import columns_that_fit, wrapped

_PERPLEXITY = 30
_LOOKS = (
    *(("#ddcc77", "o"), ("#332288", "s"), ("#bbbbbb", "h"), ("#cc6677", "^"), ("#44aa99", "D"), ("#117733", "v")),
    *(("#aa4499", "P"), ("#88ccee", "X"), ("#882255", "<"), ("#999933", ">"), ("#000000", "*")),
)
"""Colour and marker of each class, in the order of all classes: Paul Tol's muted scheme, and shapes besides."""


def _look(label: int) -> tuple[str, str]:
    """The colour and the marker of a class; beyond those of the list, its colours with other markers."""
    rounds, place = divmod(label, len(_LOOKS))
    return _LOOKS[place][0], _LOOKS[(place + rounds) % len(_LOOKS)][1]


def tsne_points(unit: np.ndarray, seed: int) -> np.ndarray:
    """(n, 2) t-SNE of unit embeddings (n, L), the same for the same seed; at least 4 samples.

    Distances are between unit vectors, so they order as cosines do. Source: van der Maaten and Hinton, JMLR 2008.
    """
    from sklearn.manifold import TSNE

    perplexity = min(_PERPLEXITY, (len(unit) - 1) / 3)
    has_plane = len(np.unique(unit, axis=0)) > 2 and unit.shape[1] > 1
    init = "pca" if has_plane else "random"  # of fewer points there are no two principal components
    return TSNE(perplexity=perplexity, init=init, random_state=seed).fit_transform(unit.astype(np.float32))


def tsne_figure(panels: Mapping[str, np.ndarray], labels: np.ndarray, classes: Sequence[str], title: str) -> Figure:
    """Maps (n, 2) side by side by the name of what embeds; labels (n,) index classes. Source: Exp-CLIP, figure 3.

    Only classes that a sample is of are named, each in the look that it has beside all others.
    """
    there = [label for label in range(len(classes)) if label in labels]
    names = legible_classes(classes[label] for label in there)
    width = max(5.8, 0.3 + 4 * len(panels))
    columns = columns_that_fit(names, 9, width)
    below = 0.22 * -(-len(names) // columns)
    figure = Figure(figsize=(width, 4.7 + below), layout="constrained")
    figure.suptitle(wrapped(title, 11, width - 0.2), fontsize=11, x=0.01, ha="left")
    for axes, (panel, points) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for label, name in zip(there, names, strict=True):
            colour, marker = _look(label)
            x, y = points[labels == label].T
            size = 34 if len(labels) < 500 else 16
            axes.scatter(x, y, size, colour, marker=marker, label=name, edgecolors="white", linewidths=0.4, alpha=0.9)
        axes.set_title(
            wrapped(legible(panel, LONG), 10, width / len(panels) - 0.2, " "), fontsize=10, color=INK, loc="left"
        )
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_color("#c9ced6")
    handles, _ = figure.axes[0].get_legend_handles_labels()
    spacing = {"handletextpad": 0.1, "columnspacing": 1.0, "markerscale": 1.3}
    figure.legend(handles, names, loc="outside lower center", ncols=columns, frameon=False, fontsize=9, **spacing)
    return figure
