"""Where faces are in whole images: boxes from a list, and which of several faces is meant."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import UsageError
from .list_lines import lines_of
from .list_paths import below_root

Region = tuple[int, int, int, int]
"""Left, top, right, bottom in whole pixels; right and bottom are exclusive."""

BOX_FORMS = (
    "`path x0 y0 x1 y1` separated by spaces, tabs, commas or semicolons, or a first line that names the columns, "
    "such as path,x0,y0,x1,y1 or path,x,y,w,h"
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

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1."""
        return self.x0, self.y0, self.x1, self.y1

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

    def scaled(self, width: int, height: int) -> "Face":
        """The box in pixels, where it is given as shares of the image's width and height."""
        corners = (self.x0 * width, self.y0 * height, self.x1 * width, self.y1 * height)
        return Face(*corners, self.score)

    def share_inside(self, width: int, height: int) -> float:
        """How much of the box lies in the image, 0 … 1; 0 for a box without extent."""
        extent = max(0.0, self.x1 - self.x0) * max(0.0, self.y1 - self.y0)
        across = max(0.0, min(self.x1, width) - max(self.x0, 0))
        down = max(0.0, min(self.y1, height) - max(self.y0, 0))
        return across * down / extent if extent else 0.0


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


@dataclass(frozen=True)
class BoxList:
    """The boxes of a list."""

    faces: Mapping[str, list[Face]]
    """By image path, in the order of the list; an image with several lines has several faces."""
    has_sizes: bool
    """Whether the list says that it gives width and height; else it gives two corners."""
    is_relative: bool
    """Whether boxes are shares of the image's width and height, 0 … 1, and not pixels."""

    def read_otherwise(self, face: Face) -> Face:
        """What a box would be if its last two numbers were the other of sizes and corner."""
        sign = -1 if self.has_sizes else 1
        return replace(face, x1=face.x1 + sign * face.x0, y1=face.y1 + sign * face.y0)


def read_boxes(path: Path) -> BoxList:
    """The boxes of a list.

    Lines are `path x0 y0 x1 y1`, separated by white space, commas, semicolons or tabs. A first line with the names of
    the columns may instead say `x,y,w,h` (width and height), have the path anywhere, and name further columns, which
    are ignored. A path may hold spaces and separators. Boxes are pixels; where all numbers of the list lie in 0 … 1
    they are shares of the image. Raises UsageError with file and line for what cannot be read, for a path that leads
    out of the folder, for shares among pixels, and for what can be no corners where nobody says that it is.
    """
    faces: dict[str, list[Face]] = {}
    rows: list[tuple[str, Numbers]] = []
    form = None
    for where, line in lines_of(path):
        if form is None:
            form = _form(where, line)
            if form.is_header:
                continue
        source, numbers = form.parse(where, line)
        if any(numbers):  # how some lists say that there is no face
            rows.append((where, numbers))
        faces.setdefault(below_root(source, where, "the folder of the images"), []).append(form.face(numbers))
    if form is None or not faces:
        raise UsageError(f"{path}: the list holds no boxes: write lines {BOX_FORMS}")
    if not form.is_header:
        _refuse_no_corners(rows)
    return BoxList(faces, form.box not in _CORNERS, _are_relative(rows))


Numbers = tuple[float, float, float, float]


def _are_relative(rows: Sequence[tuple[str, Numbers]]) -> bool:
    """Whether the boxes of a list are shares of the image's size. Raises UsageError where some are."""
    shares = [where for where, box in rows if _within(box, 0, 1) and not all(map(float.is_integer, box))]
    # a face may reach beyond the image a little; pixels in this range would be boxes of up to three of them
    numbers = [number for _, box in rows for number in box]
    is_near = bool(rows) and min(numbers) >= -1 and max(numbers) <= 2
    if is_near and (max(numbers) <= 1 or not all(map(float.is_integer, numbers))):
        return True
    if shares:
        raise UsageError(
            f"{shares[0]}: this box is a share of the image's size, 0 … 1, and others of the list are pixels: write "
            f"all of them in one of the two"
        )
    return False


def _within(box: Numbers, least: float, most: float) -> bool:
    return least <= min(box) and max(box) <= most


def _refuse_no_corners(rows: Sequence[tuple[str, Numbers]]) -> None:
    """Raise UsageError where the second corner is not below and right of the first, as of a width and a height."""
    for where, (a, b, c, d) in rows:
        if (c <= a or d <= b) and c > 0 and d > 0:
            raise UsageError(
                f"{where}: {a:g} {b:g} {c:g} {d:g} are not two corners: if the list gives width and height, write "
                f"`path x y w h` as its first line, with its own separator; else correct the line, or write "
                f"`path x0 y0 x1 y1`"
            )


@dataclass(frozen=True)
class _Form:
    """How the lines of a list are to be read."""

    separator: str | None
    columns: tuple[str, ...]
    path: int
    """The number of the column that holds the path."""
    box: tuple[str, ...]
    """The four that hold the box."""
    is_header: bool

    def parse(self, where: str, line: str) -> tuple[str, Numbers]:
        """The path and the numbers of the box as they stand."""
        fields = _fields(line, self.separator, len(self.columns), self.path)
        by_name = dict(zip(self.columns, fields, strict=False))
        a, b, c, d = (_number(by_name.get(name, "")) for name in self.box)
        source = fields[self.path] if len(fields) == len(self.columns) else ""
        if not source or a is None or b is None or c is None or d is None:
            expected = " ".join(name for k, name in enumerate(self.columns) if k != self.path)
            raise UsageError(f"{where}: expected a path and {expected}, found {line!r}: correct the line")
        return source.replace("\\", "/"), (a, b, c, d)

    def face(self, numbers: Numbers) -> Face:
        """The box of a face, by its corners."""
        a, b, c, d = numbers
        return Face(a, b, c, d) if self.box in _CORNERS else Face(a, b, a + c, b + d)


def _form(where: str, first: str) -> _Form:
    """The form of a list, from its first line."""
    for separator in _SEPARATORS:
        _, *values = _fields(first, separator, 5, 0)
        if len(values) == 4 and all(_number(value) is not None for value in values):
            return _Form(separator, ("path", *_CORNERS[0]), 0, _CORNERS[0], is_header=False)
    for separator in _SEPARATORS:
        columns = tuple(name.strip().strip("\"'").lower() for name in first.split(separator))
        box = next((box for box in (*_CORNERS, *_SIZES) if set(box) <= set(columns)), None)
        path = next((columns.index(name) for name in _PATH_COLUMNS if name in columns), None)
        if path is not None and box:
            return _Form(separator, columns, path, box, is_header=True)
    raise UsageError(f"{where}: {first!r} is not a line of boxes: write lines {BOX_FORMS}")


def _fields(line: str, separator: str | None, count: int, path: int) -> list[str]:
    """The fields of a line: as those of a table where they are as many as its columns, else around the path."""
    if separator:
        try:
            table = next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
        except csv.Error:
            table = []
        if len(table) == count:
            return [field.strip() for field in table]
    before = line.split(separator, path)
    fields = [*before[:-1], *before[-1].rsplit(separator, count - path - 1)]
    return [_unquoted(field.strip()) for field in fields]


def _unquoted(field: str) -> str:
    for quote in "\"'":
        if len(field) > 1 and field[0] == field[-1] == quote:
            return field[1:-1].replace(quote * 2, quote)
    return field


def _number(text: str) -> float | None:
    try:
        value = float(text.strip("\"'"))
    except ValueError:
        return None
    return value if abs(value) <= _FARTHEST else None
