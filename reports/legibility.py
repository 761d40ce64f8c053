"""Colours and names as all figures show them; nothing is drawn here."""

from collections.abc import Iterable

from ..errors import escape

INK = "#1b2a41"
COLOURS = ("#8a8f99", "#d1495b", "#00798c", "#edae49")
"""Of plain CLIP and of up to three heads; apart in lightness too."""
MARKERS = ("o", "s", "^", "D")
"""Of the same where they are lines."""
LONG = 110
"""Letters of a head's name, which has a line for itself."""


def legible(text: str, most: int = 40) -> str:
    """The name of a class, a data set or a head as a figure shows it: on one line, not longer than it has room."""
    cut = escape(text[: most + 1])
    cut = cut if len(cut) <= most else f"{cut[:most]}…"
    return f" {cut}" if cut.startswith("_") else cut  # which legends leave out


def legible_classes(classes: Iterable[str], most: int = 24) -> list[str]:
    """The names of classes, which stand at the axes: long ones without their middle, as many begin alike."""
    return [legible(_without_middle(escape(name), most), most) for name in classes]


def _without_middle(name: str, most: int) -> str:
    end = (most - 1) // 2
    return name if len(name) <= most else f"{name[: most - 1 - end]}…{name[-end:]}"
