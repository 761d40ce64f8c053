"""How much room text needs in a figure, in inches, and how it is laid out in what there is."""

from collections.abc import Iterable, Sequence
from functools import cache

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

_POINTS = 72
"""In an inch."""
_HANDLE = 0.5
"""Of a legend's entry beside its name."""


@cache
def _font(points: float) -> FontProperties:
    return FontProperties(size=points)


def text_width(text: str, points: float) -> float:
    """The width of one line."""
    return text_to_path.get_text_width_height_descent(text, _font(points), ismath=False)[0] / _POINTS


def widest(texts: Iterable[str], points: float) -> float:
    """The width of the longest of some lines."""
    return max((text_width(text, points) for text in texts), default=0.0)


def columns_that_fit(names: Sequence[str], points: float, inches: float) -> int:
    """The columns of a legend in which its names have room, at least one."""
    return max(1, min(len(names), int(inches / (widest(names, points) + _HANDLE))))


def wrapped(title: str, points: float, inches: float, between: str = " · ") -> str:
    """A title whose lines are no wider than its figure, broken between its parts; a part alone is not broken."""
    lines: list[str] = []
    for line in title.split("\n"):
        first, *parts = line.split(between)
        lines.append(first)
        for part in parts:
            longer = f"{lines[-1]}{between}{part}"
            if text_width(longer, points) <= inches:
                lines[-1] = longer
            else:
                lines.append(part)
    return "\n".join(lines)
