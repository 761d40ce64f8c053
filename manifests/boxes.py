"""Where faces are in whole images: boxes from a list, and which of several faces is meant."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError
from .list_lines import lines_of
from .list_paths import below_root

Region = tuple[int, int, int, int]
"""Left, top, right, bottom in whole pixels; right and bottom are exclusive."""

BOX_FORMS = (
    "`path x0 y0 x1 y1` separated by spaces, tabs, commas or semicolons, or a first line that names the columns, the "
    "path first: path,x0,y0,x1,y1 or path,x,y,w,h"
)
_FARTHEST = 1e9
"""No image is this wide: a list that says more is wrong."""
_SEPARATORS = (",", ";", "\t", None)
_PATH_COLUMNS = ("path", "file", "filename", "file_name", "image", "image_path", "img", "name")
_CORNERS = (
    ("x0", "y0", "x1", "y1"),
    ("x1", "y1", "x2", "y2"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("left", "top", "right", "bottom"),
)
_SIZES = (("x", "y", "w", "h"), ("x", "y", "width", "height"), ("left", "top", "width", "height"))


@dataclass(frozen=True)
class Face:
    """The box of a face, in pixels of the upright image from its upper left corner; it may reach beyond the image."""

    x0: float
    y0: float
    x1: float
    y1: float
    score: float | None = None
    """From the detector; lists of boxes have none."""

    def inside(self, width: int, height: int, margin: float = 0.0) -> Region | None:
        """The part of the image that the box covers, None where there is none.

        `margin` widens the box on each side, as a share of its width and height.
        """
        if not (self.x0 < self.x1 and self.y0 < self.y1):
            return None
        wider, higher = margin * (self.x1 - self.x0), margin * (self.y1 - self.y0)
        left, top = max(0, math.floor(self.x0 - wider)), max(0, math.floor(self.y0 - higher))
        right, bottom = min(width, math.ceil(self.x1 + wider)), min(height, math.ceil(self.y1 + higher))
        return (left, top, right, bottom) if left < right and top < bottom else None


def largest(faces: Sequence[Face], width: int, height: int) -> Face:
    """The face that covers most of the image; of equal ones that with the highest score, then the first."""

    def area(face: Face) -> int:
        left, top, right, bottom = face.inside(width, height) or (0, 0, 0, 0)
        return (right - left) * (bottom - top)

    return max(faces, key=lambda face: (area(face), face.score or 0))


def central(faces: Sequence[Face], width: int, height: int) -> Face:
    """The face closest to the middle of the image; of equal ones that with the highest score, then the first."""

    def nearness(face: Face) -> float:
        return -math.hypot(face.x0 + face.x1 - width, face.y0 + face.y1 - height)

    return max(faces, key=lambda face: (nearness(face), face.score or 0))


CHOICES = {"largest": largest, "central": central}
"""How one of several faces is chosen."""


def read_boxes(path: Path) -> dict[str, list[Face]]:
    """Boxes by image path, in the order of the list; an image with several lines has several faces.

    Lines are `path x0 y0 x1 y1`, separated by white space, commas, semicolons or tabs. A first line with the names of
    the columns may instead say `x,y,w,h` (width and height), and may name further columns, which are ignored. The
    path is the first column and the lines are parsed from the right, so that it may hold spaces. Raises UsageError
    with file and line for what cannot be read, and for a path that leads out of the folder.
    """
    boxes: dict[str, list[Face]] = {}
    form = None
    for where, line in lines_of(path):
        if form is None:
            form = _form(where, line)
            if form.is_header:
                continue
        source, face = form.parse(where, line)
        boxes.setdefault(below_root(source, where, "the folder of the images"), []).append(face)
    if not boxes:
        raise UsageError(f"{path}: the list holds no boxes: write lines {BOX_FORMS}")
    return boxes


@dataclass(frozen=True)
class _Form:
    """How the lines of a list are to be read."""

    separator: str | None
    columns: tuple[str, ...]
    """After the path."""
    box: tuple[str, ...]
    """The four that hold the box."""
    is_header: bool

    def parse(self, where: str, line: str) -> tuple[str, Face]:
        source, *values = _split(line, self.separator, len(self.columns))
        by_name = dict(zip(self.columns, values, strict=False))
        a, b, c, d = (_number(by_name.get(name, "")) for name in self.box)
        if not source or a is None or b is None or c is None or d is None:
            raise UsageError(
                f"{where}: expected a path and {' '.join(self.columns)}, found {line!r}: correct the line"
            )
        corners = (a, b, c, d) if self.box in _CORNERS else (a, b, a + c, b + d)
        return source.replace("\\", "/"), Face(*corners)


def _form(where: str, first: str) -> _Form:
    """The form of a list, from its first line."""
    for separator in _SEPARATORS:
        _, *values = _split(first, separator, 4)
        if len(values) == 4 and all(_number(value) is not None for value in values):
            return _Form(separator, _CORNERS[0], _CORNERS[0], is_header=False)
    for separator in _SEPARATORS:
        path, *columns = (name.strip().strip('"').lower() for name in first.split(separator))
        box = next((box for box in (*_CORNERS, *_SIZES) if set(box) <= set(columns)), None)
        if path in _PATH_COLUMNS and box:
            return _Form(separator, tuple(columns), box, is_header=True)
    raise UsageError(f"{where}: {first!r} is not a line of boxes: write lines {BOX_FORMS}")


def _split(line: str, separator: str | None, columns: int) -> list[str]:
    """The path and this many columns, from the right."""
    parts = [part.strip() for part in line.rsplit(separator, columns)]
    if len(parts[0]) > 1 and parts[0][0] == parts[0][-1] == '"':
        parts[0] = parts[0][1:-1].replace('""', '"')
    return parts


def _number(text: str) -> float | None:
    try:
        value = float(text.strip('"'))
    except ValueError:
        return None
    return value if abs(value) <= _FARTHEST else None
