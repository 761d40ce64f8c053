"""How far the embeddings of a class lie apart, before and after heads."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from .legibility import COLOURS, INK, LONG, legible, legible_classes


def class_variance(unit: np.ndarray, labels: np.ndarray, n_classes: int) -> np.ndarray:
    """(classes,) mean squared distance of unit embeddings (n, L) to the mean of their class; NaN without a sample.

    0 where all of a class point the same way, 1 where they point everywhere. Source: Exp-CLIP, figure C.
    """
    variance = np.full(n_classes, np.nan)
    for label in np.unique(labels):
        mean = unit[labels == label].mean(axis=0, dtype=np.float64)
        variance[label] = 1 - mean @ mean  # the mean squared length, which is 1, less the squared length of the mean
    return variance


def variance_figure(variances: Mapping[str, np.ndarray], classes: Sequence[str], title: str) -> Figure:
    """A group of bars for each class: the variance (classes,) by the name of what embeds, and the mean of classes."""
    names = [*legible_classes(classes), "mean"]
    figure = Figure(figsize=(2.2 + 0.95 * len(names), 3.9), layout="constrained")
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    axes = figure.subplots()
    share = 0.8 / len(variances)
    for k, ((label, values), colour) in enumerate(zip(variances.items(), COLOURS, strict=False)):
        heights = np.append(values, np.nanmean(values))
        places = np.arange(len(names)) - 0.4 + (k + 0.5) * share
        bars = axes.bar(
            places, heights, share, color=colour, edgecolor="white", linewidth=0.6, label=legible(label, LONG)
        )
        axes.bar_label(bars, [_short(one) for one in heights], fontsize=7, padding=2, color=INK)
    axes.axvline(len(classes) - 0.5, color="#c9ced6", linewidth=0.8)
    axes.set_xticks(range(len(names)), names, fontsize=9)
    axes.set_ylabel("variance of unit embeddings")
    axes.margins(x=0.01, y=0.12)
    axes.tick_params(length=0, labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower right", ncols=len(variances), frameon=False, fontsize=9)
    return figure


def _short(value: float) -> str:
    """Two digits that tell: .27, .0031."""
    return "" if np.isnan(value) else f"{value:#.2g}".removeprefix("0")
