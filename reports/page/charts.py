"""The charts of the page, as plotly.js takes them.

A colour is a name of the page's style, `--c0`, which looks it up where it is light and where it is dark. What plotly
shows of others' names is escaped: it reads its texts as HTML.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape as as_html
from typing import Any

import numpy as np

from ...scoring.intervals import Interval
from ...scoring.reliability import Reliability
from ..legibility import legible

SYMBOLS = ("circle", "square", "triangle-up", "diamond")
"""Of the rows that are shown in full; the page's key shows the same."""
_ROW, _EDGE = 38, 74
"""Pixels: of a row of a chart, and of what is above and below the rows."""
_NAME = 58
"""Letters of a row's name, which stands above its line."""
_CLASS = 20

Figure = dict[str, Any]


@dataclass(frozen=True)
class Line:
    """A row of a chart: its name, its points, and their mean or the interval about it."""

    name: str
    middle: float
    low: float | None = None
    high: float | None = None
    points: tuple[float, ...] = ()


def gains_chart(gains: Mapping[str, Interval], over: str) -> Figure:
    """A forest plot: of each row its gain in points of UAR, with its 95 % interval."""
    lines = [Line(name, one.value, one.low, one.high) for name, one in gains.items()]
    middles = [one.middle for one in lines]
    ends = {
        "type": "data",
        "symmetric": False,
        "array": [(one.high or 0) - one.middle for one in lines],
        "arrayminus": [one.middle - (one.low or 0) for one in lines],
        "thickness": 2,
        "width": 5,
        "color": "--c2",
    }
    said = [f"{one.middle:+.2f} ({one.low:+.2f} to {one.high:+.2f})" for one in lines]
    trace = _dots(middles, _heights(lines), "--c2", "square", said) | {"error_x": ends}
    figure = _rows(lines, [trace], f"points of UAR over {_safe(over)}")
    zero = {"type": "line", "x0": 0, "x1": 0, "yref": "paper", "y0": 0, "y1": 1}
    figure["layout"]["shapes"] = [zero | {"line": {"width": 1.5, "dash": "dot", "color": "--ink"}}]
    return figure


def seeds_chart(seeds: Mapping[str, Sequence[float]]) -> Figure:
    """The UAR of each seed, and the mean over them."""
    lines = [Line(name, float(np.mean(values)), points=tuple(values)) for name, values in seeds.items()]
    heights = _heights(lines)
    points = [(value, height) for one, height in zip(lines, heights, strict=True) for value in one.points]
    x, y = [value for value, _ in points], [height for _, height in points]
    each = _dots(x, y, "--c2", "circle-open", [f"{value:.2f}" for value in x])
    means = _dots([one.middle for one in lines], heights, "--c1", "line-ns-open", [""] * len(lines))
    means["text"] = [f"mean {one.middle:.2f}" for one in lines]
    means["marker"] |= {"size": 16, "line": {"width": 3, "color": "--c1"}}
    return _rows(lines, [each, means], "UAR, %")


def recall_chart(recalls: Sequence[np.ndarray], classes: Sequence[str]) -> Figure:
    """Recall (classes,) of each row that is shown, by class."""
    heights = np.arange(len(classes))[::-1]
    traces = []
    for k, recall in enumerate(recalls):
        y = (heights + 0.18 * (1.5 - k)).tolist()
        said = [f"{_safe(name, _CLASS)}: {100 * value:.1f} %" for name, value in zip(classes, recall, strict=True)]
        x = [None if np.isnan(value) else 100 * float(value) for value in recall]
        traces.append(_dots(x, y, f"--c{k}", SYMBOLS[k], said))
    axis = {
        "tickmode": "array",
        "tickvals": heights.tolist(),
        "ticktext": [_safe(name, _CLASS) for name in classes],
        "range": [-0.7, len(classes) - 0.3],
        "automargin": True,
        "showgrid": True,
    }
    layout = {"xaxis": _axis("recall, %") | {"range": [-2, 102]}, "yaxis": axis}
    return {"data": traces, "layout": layout | {"height": 34 * len(classes) + _EDGE}}


def reliability_chart(found: Mapping[int, Reliability]) -> Figure:
    """The share that is right by confidence, by the place of a row among those that are shown."""
    traces = []
    for k, one in found.items():
        x, y = (100 * one.confidence).tolist(), (100 * one.accuracy).tolist()
        said = [f"{a:.0f} % sure, {b:.0f} % right, {n:,} samples" for a, b, n in zip(x, y, one.counts, strict=True)]
        traces.append(_dots(x, y, f"--c{k}", SYMBOLS[k], said) | {"mode": "lines+markers"})
        traces[-1]["line"] = {"width": 2, "color": f"--c{k}"}
    diagonal = {"type": "line", "x0": 0, "y0": 0, "x1": 100, "y1": 100}
    layout = {
        "xaxis": _axis("confidence, %") | {"range": [-3, 103]},
        "yaxis": _axis("right, %") | {"range": [-3, 103], "automargin": True},
        "shapes": [diagonal | {"line": {"width": 1.5, "dash": "dot", "color": "--ink"}}],
        "height": 400,
    }
    return {"data": traces, "layout": layout}


def _heights(lines: Sequence[Line]) -> list[int]:
    """Where each row stands, the first on top."""
    return list(range(len(lines)))[::-1]


def _dots(x: Sequence[float | None], y: Sequence[float], colour: str, symbol: str, said: Sequence[str]) -> Figure:
    marker = {"color": colour, "size": 10, "symbol": symbol}
    return {
        "type": "scatter",
        "mode": "markers",
        "x": x,
        "y": y,
        "marker": marker,
        "text": said,
        "hovertemplate": "%{text}<extra></extra>",
    }


def _rows(lines: Sequence[Line], traces: list[Figure], title: str) -> Figure:
    """A chart whose rows have their names above them."""
    names = [
        {
            "text": _safe(one.name, _NAME),
            "x": 0,
            "xref": "paper",
            "xanchor": "left",
            "y": height,
            "yshift": 14,
            "showarrow": False,
            "font": {"size": 12},
        }
        for one, height in zip(lines, _heights(lines), strict=True)
    ]
    axis = {"visible": False, "range": [-0.6, len(lines) - 0.2]}
    layout = {"xaxis": _axis(title), "yaxis": axis, "annotations": names, "height": _ROW * len(lines) + _EDGE}
    return {"data": traces, "layout": layout}


def _axis(title: str) -> Figure:
    return {"title": {"text": title, "standoff": 8}, "zeroline": False}


def _safe(text: str, most: int = 40) -> str:
    return as_html(legible(text, most))
