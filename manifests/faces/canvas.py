"""A canvas in face units, with the few strokes and curves that faces are made of.

Face units: the origin is midway between the eyes, x points to the right of the picture, y down, and the chin of an
average face at rest is at y = 1.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from PIL import ImageDraw

from .colours import Colour

Points = np.ndarray | Sequence[tuple[float, float]]

_ANGLES = np.linspace(0.0, 2.0 * np.pi, 28, endpoint=False)
_UNIT_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)


@dataclass(frozen=True)
class Canvas:
    """Affine views onto a picture, drawn on together: face units times a matrix plus `origin` gives pixels."""

    ink: ImageDraw.ImageDraw
    matrices: tuple[np.ndarray, ...]
    origin: np.ndarray
    unit: float

    def shifted(self, dx: float, dy: float) -> "Canvas":
        """The same canvas with its origin moved by (dx, dy) face units."""
        return replace(self, origin=self.origin + np.array((dx, dy)) @ self.matrices[0])

    def mirrored(self) -> "Canvas":
        """The same canvas with x pointing the other way."""
        return replace(self, matrices=tuple(matrix * ((-1.0,), (1.0,)) for matrix in self.matrices))

    def with_mirror_image(self) -> "Canvas":
        """A canvas on which everything is also drawn mirrored."""
        return replace(self, matrices=self.matrices + self.mirrored().matrices)

    def polygon(self, points: Points, colour: Colour) -> None:
        """Fill a polygon given by its (n, 2) corners."""
        for pixels in self._pixels(points):
            self.ink.polygon(pixels, fill=colour)

    def line(self, points: Points, colour: Colour, width: float) -> None:
        """Draw a polyline of even width."""
        for pixels in self._pixels(points):
            self.ink.line(pixels, fill=colour, width=max(1, round(width * self.unit)))

    def dot(self, centre: tuple[float, float], radius: float, colour: Colour) -> None:
        """Fill a small disc."""
        spread = radius * self.unit
        for x, y in self._pixels(centre):
            self.ink.ellipse((x - spread, y - spread, x + spread, y + spread), fill=colour)

    def ellipse(self, centre: tuple[float, float], radii: tuple[float, float], colour: Colour) -> None:
        """Fill an ellipse whose axes lie along x and y."""
        self.polygon(_UNIT_CIRCLE * radii + centre, colour)

    def crease(self, points: Points, colour: Colour, width: float) -> None:
        """Draw a smooth curve through control points that is widest in its middle."""
        controls = np.asarray(points)
        path, slope = _open_basis(len(controls)) @ controls, _open_slopes(len(controls)) @ controls
        reach = (0.5 * width) * _taper(len(path)) / np.sqrt(slope[:, 0] ** 2 + slope[:, 1] ** 2)
        side = slope[:, ::-1] * (-1.0, 1.0) * reach[:, None]
        self.polygon(np.concatenate([path + side, (path - side)[::-1]]), colour)

    def _pixels(self, points: Points | tuple[float, float]) -> Iterator[list[float]]:
        for matrix in self.matrices:
            yield (np.asarray(points) @ matrix + self.origin).ravel().tolist()


def closed_curve(controls: Points) -> np.ndarray:
    """Smooth closed outline through (n, 2) control points, as (5 n, 2)."""
    return _closed_basis(len(controls)) @ np.asarray(controls)


def open_curve(controls: Points) -> np.ndarray:
    """Smooth curve through (n, 2) control points from the first to the last, as (5 (n - 1) + 1, 2)."""
    return _open_basis(len(controls)) @ np.asarray(controls)


def symmetric(right_half: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Complete the right half of an outline, listed from top to bottom, with its mirror image."""
    return [*right_half, *((-x, y) for x, y in reversed(right_half) if x != 0.0)]


_STEPS = 5


def _catmull_rom(u: float) -> tuple[float, float, float, float]:
    return (
        0.5 * (-u + 2 * u**2 - u**3),
        0.5 * (2 - 5 * u**2 + 3 * u**3),
        0.5 * (u + 4 * u**2 - 3 * u**3),
        0.5 * (u**3 - u**2),
    )


@lru_cache(maxsize=64)
def _closed_basis(count: int) -> np.ndarray:
    basis = np.zeros((count * _STEPS, count))
    for row in range(count * _STEPS):
        segment, step = divmod(row, _STEPS)
        for offset, weight in enumerate(_catmull_rom(step / _STEPS)):
            basis[row, (segment + offset - 1) % count] += weight
    return basis


@lru_cache(maxsize=64)
def _open_basis(count: int) -> np.ndarray:
    basis = np.zeros(((count - 1) * _STEPS + 1, count))
    for row in range(len(basis) - 1):
        segment, step = divmod(row, _STEPS)
        for offset, weight in enumerate(_catmull_rom(step / _STEPS)):
            basis[row, min(max(segment + offset - 1, 0), count - 1)] += weight
    basis[-1, -1] = 1.0
    return basis


@lru_cache(maxsize=64)
def _open_slopes(count: int) -> np.ndarray:
    return np.gradient(_open_basis(count), axis=0)


@lru_cache(maxsize=64)
def _taper(count: int) -> np.ndarray:
    return np.sqrt(np.sin(np.linspace(0.04, np.pi - 0.04, count)))
