"""Retrieval between samples and their descriptions: what is among the first k."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .legibility import COLOURS, INK, LONG, MARKERS, legible

FIRST = 20
"""The most that is looked at of a ranking."""
CHANCE = "chance"
"""What the line of rankings at random is called."""
_AT_ONCE = 1024


@dataclass(frozen=True, eq=False)
class Retrieval:
    """Of rankings of m candidates for each of q queries, by k from 1."""

    precision: np.ndarray
    """(k,) P@k: the share of the first k that are of the query's class, mean over queries."""
    found: np.ndarray
    """(k,) the share of queries with one of their own counterparts among the first k."""


def retrieval(queries: np.ndarray, candidates: np.ndarray, same_class: np.ndarray, own: np.ndarray) -> Retrieval:
    """Rank candidates (m, L') by their cosine to each query (q, L'), both of unit length.

    `same_class` and `own` (q, m) bool say what is a hit. Of equal cosines the first candidate comes first.
    """
    parts = []
    for start in range(0, len(queries), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        ranking = np.argsort(-(queries[some] @ candidates.T), axis=1, kind="stable")[:, :FIRST]
        hits, counterparts = (np.take_along_axis(one[some], ranking, axis=1) for one in (same_class, own))
        precision = hits.cumsum(axis=1) / np.arange(1, ranking.shape[1] + 1)
        parts.append((precision, np.maximum.accumulate(counterparts, axis=1)))
    precision, found = (np.concatenate(one) for one in zip(*parts, strict=True))
    return Retrieval(precision.mean(axis=0), found.mean(axis=0))


def mean_retrieval(several: Sequence[Retrieval]) -> Retrieval:
    """The mean over seeds."""
    precision = np.mean([one.precision for one in several], axis=0)
    return Retrieval(precision, np.mean([one.found for one in several], axis=0))


def chance(same_class: np.ndarray, own: np.ndarray) -> Retrieval:
    """What rankings at random give on average."""
    m = own.shape[1]
    k = np.arange(min(FIRST, m))
    others = np.clip(m - own.sum(axis=1, keepdims=True) - k, 0, None)
    none_yet = np.cumprod(others / (m - k), axis=1)
    return Retrieval(np.full(len(k), same_class.mean()), 1 - none_yet.mean(axis=0))


def retrieval_figure(found: Mapping[str, Mapping[str, Retrieval]], title: str) -> Figure:
    """P@k above, the own counterpart below; a column for each direction, a line for each name of what embeds.

    Source: Exp-CLIP, figure D.
    """
    figure = Figure(figsize=(9, 6.6), layout="constrained")
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    panels = figure.subplots(2, len(found), sharex=True, sharey="row", squeeze=False)
    for column, (direction, by_name) in enumerate(found.items()):
        _lines(panels[0, column], {name: one.precision for name, one in by_name.items()})
        _lines(panels[1, column], {name: one.found for name, one in by_name.items()})
        panels[0, column].set_title(direction, fontsize=10, color=INK, loc="left")
        panels[1, column].set_xlabel("k")
    for row in panels:  # only now: limits stop the axes from following what is drawn later in a shared one
        row[0].set_ylim(bottom=0)
    panels[0, 0].set_ylabel("P@k: of the same class, %")
    panels[1, 0].set_ylabel("own one among the first k, %")
    handles, names = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower right", ncols=len(names), frameon=False, fontsize=9)
    return figure


def _lines(axes: Axes, shares: Mapping[str, np.ndarray]) -> None:
    looks = iter(zip(COLOURS, MARKERS, strict=True))
    for name, values in shares.items():
        label = legible(name, LONG)
        k = np.arange(1, len(values) + 1)
        if name == CHANCE:
            axes.plot(k, 100 * values, color=INK, linestyle=":", linewidth=1.2, label=label)
            continue
        colour, marker = next(looks)
        axes.plot(k, 100 * values, color=colour, marker=marker, markersize=5, linewidth=1.6, label=label)
    axes.set_xticks([1, *range(5, FIRST + 1, 5)])
    axes.grid(axis="y", color="#e3e6eb", linewidth=0.8)
    axes.tick_params(length=0, labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)
