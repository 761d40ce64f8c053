"""Cheeks, nose, mouth and chin: action units 6, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26 and 27.

Creases are given for the right half of the picture and also drawn mirrored. Only AU12 and AU14 may differ between
the halves. Source of all movements: FACS, Ekman, Friesen & Hager 2002.
"""

from dataclasses import dataclass

import numpy as np

from .action_units import Intensities
from .colours import Colour, mix
from .scene import Half, Scene

_ACROSS = np.linspace(-1.0, 1.0, 21)
_CENTRE = len(_ACROSS) // 2
_CUPIDS_BOW = 1.0 - 0.3 * np.exp(-((_ACROSS / 0.17) ** 2))
_TEETH: Colour = (250, 248, 242)
_CAVITY: Colour = (74, 20, 24)
_TONGUE: Colour = (206, 96, 98)


@dataclass(frozen=True)
class Mouth:
    """The lips as heights over the common columns `x`; `gap` is how far they part."""

    x: np.ndarray
    upper_outer: np.ndarray
    upper_inner: np.ndarray
    lower_inner: np.ndarray
    lower_outer: np.ndarray
    gap: float

    @property
    def corners(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Its right and left corners, each in the view of its own half of the face: x points outwards."""
        right = float(self.x[-1]), float(self.upper_inner[-1])
        return right, (-float(self.x[0]), float(self.upper_inner[0]))


def shape_mouth(scene: Scene) -> Mouth:
    """Pull the lips into the shape that the action units give them."""
    au, geometry = scene.mean_au, scene.geometry
    gap = _lip_gap(au)
    # A dropped jaw rounds the mouth unless its corners are pulled aside.
    roundness = max(au[26], au[27]) * (1.0 - au[20]) * (1.0 - au[12])
    level = 0.645 + 0.025 * geometry.mouth_height
    right, left = (_corner(scene, half.au, level, gap, roundness) for half in scene.halves)
    width, corner = np.where(_ACROSS[:, None] > 0.0, right, left).T
    centre = level + 0.045 * au[12] - 0.03 * au[15] - 0.055 * au[17] + 0.012 * geometry.mouth_curve
    upper = centre - 0.06 * au[10] - 0.035 * au[9] - 0.01 * au[27]
    # At the centre only `upper` counts, with level tangents: unequal corners leave no kink there.
    bend = np.abs(_ACROSS) ** (1.9 + 1.2 * au[15] + 1.1 * au[20])
    arch = (1.0 - np.abs(_ACROSS) ** (2.0 + 4.0 * au[20] + 1.5 * au[10])) ** (1.0 - 0.5 * roundness)
    upper_inner = corner * bend + upper * (1.0 - bend)
    lower_inner = upper_inner + (gap + (centre - upper) * min(1.0, 4.0 * gap)) * arch
    fullness = 1.0 + 0.18 * geometry.lip_fullness
    fullness *= (1.0 - 0.72 * au[23]) * (1.0 - 0.25 * au[12]) * (1.0 - 0.4 * au[20])
    rim = np.sqrt(1.0 - np.abs(_ACROSS) ** 1.8)
    upper_lip = 0.052 * fullness * (1.0 - 0.2 * au[10])
    lower_lip = 0.07 * fullness * (1.0 + 0.35 * au[17])
    return Mouth(
        x=width * _ACROSS,
        upper_outer=upper_inner - upper_lip * rim * _CUPIDS_BOW,
        upper_inner=upper_inner,
        lower_inner=lower_inner,
        lower_outer=lower_inner + lower_lip * rim,
        gap=gap,
    )


def draw_cheeks(scene: Scene, mouth: Mouth) -> None:
    """Draw cheeks (raised by AU6, bunched by AU12) and the folds from nose to mouth (AU9, AU10, AU12)."""
    for half, corner in zip(scene.halves, mouth.corners, strict=True):
        _draw_cheek(scene, half)
        _draw_nasolabial_fold(scene, half, corner)


def draw_nose(scene: Scene) -> None:
    """Draw the nose; AU9 pulls its wings up and wrinkles its root and sides."""
    strength, base, wing = scene.au[9], scene.nose_base, scene.nose_wing
    palette, canvas = scene.palette, scene.nose
    ridge = [(0.045, -0.06), (0.05, 0.12), (0.7 * wing, base - 0.08)]
    canvas.crease(ridge, palette.shade, 0.035)
    canvas.ellipse((0.0, base - 0.025), (0.62 * wing, 0.06), palette.shade)
    canvas.ellipse((0.0, base - 0.045), (0.56 * wing, 0.06), palette.skin)
    sides = canvas.with_mirror_image()
    lift = 0.02 * strength
    rim = [(wing * 0.78, base - 0.085 - lift), (wing, base - 0.03 - lift), (wing * 0.74, base + 0.012)]
    sides.crease(rim, palette.crease, 0.032)
    sides.ellipse((0.42 * wing, base + 0.004), (0.034, 0.018), palette.crease)
    if strength > 0.1:
        colour = scene.crease_colour(0.8 * strength)
        sides.crease([(0.03, 0.06), (0.085, 0.08), (0.12, 0.14)], colour, 0.03)
        sides.crease([(0.035, 0.14), (0.09, 0.165), (0.125, 0.225)], colour, 0.03)
        for level in (-0.075, -0.015):
            canvas.crease([(-0.075, level), (0.0, level + 0.02), (0.075, level)], colour, 0.028)


def draw_mouth(scene: Scene, mouth: Mouth) -> None:
    """Draw lips and, where they part, teeth and tongue."""
    canvas, palette = scene.face, scene.palette
    canvas.polygon(_band(mouth.x, mouth.upper_outer, mouth.lower_outer), palette.lip)
    if mouth.gap > 0.01:
        canvas.polygon(_band(mouth.x, mouth.upper_inner, mouth.lower_inner), _CAVITY)
        _draw_teeth(scene, mouth)
    canvas.line(np.stack([mouth.x, mouth.upper_inner], axis=1), palette.lip_line, 0.026 + 0.01 * scene.au[23])
    for half, corner in zip(scene.halves, mouth.corners, strict=True):
        half.canvas.dot(corner, 0.018, mix(palette.muzzle, palette.lip_line, 0.8))


def draw_mouth_creases(scene: Scene, mouth: Mouth) -> None:
    """Draw what the mouth does to the skin around it: AU14, AU15, AU20 and AU23."""
    muzzle = scene.palette.muzzle
    for half, (x, y) in zip(scene.halves, mouth.corners, strict=True):
        au, canvas = half.au, half.canvas
        if au[14] > 0.05:
            dimple = [(x + 0.03, y - 0.08), (x + 0.08, y), (x + 0.03, y + 0.07)]
            canvas.crease(dimple, scene.crease_colour(0.9 * au[14], muzzle), 0.01 + 0.035 * au[14])
        if au[15] > 0.1:
            pouch = [(x + 0.025, y), (x + 0.05, y + 0.055), (x + 0.03, y + 0.11)]
            canvas.crease(pouch, scene.crease_colour(0.65 * au[15], muzzle), 0.032)
        if au[20] > 0.1:
            stretch = [(x + 0.06, y - 0.11), (x + 0.085, y), (x + 0.06, y + 0.11)]
            canvas.crease(stretch, scene.crease_colour(0.55 * au[20], muzzle), 0.028)
        if au[23] > 0.1:
            colour = scene.crease_colour(0.4 * au[23], muzzle)
            canvas.crease([(0.09, y - 0.05), (0.1, y - 0.1)], colour, 0.026)
            canvas.crease([(0.0, y + 0.085), (0.08, y + 0.08), (0.15, y + 0.06)], colour, 0.03)


def draw_chin(scene: Scene, mouth: Mouth) -> None:
    """Draw the chin boss, which AU17 pushes up and puckers."""
    strength, muzzle = scene.au[17], scene.palette.muzzle
    lip = float(mouth.lower_outer[_CENTRE])
    level = min(lip + 0.08, scene.chin - 0.08)
    shade = mix(mix(muzzle, scene.palette.shade, 0.6), scene.palette.crease, 0.85 * strength)
    ends = level + 0.02 + 0.03 * strength
    scene.face.crease([(-0.13, ends), (0.0, level - 0.01), (0.13, ends)], shade, 0.026 + 0.01 * strength)
    if strength > 0.15:
        colour = scene.crease_colour(0.7 * strength, muzzle)
        for x, y in ((-0.07, 0.06), (0.0, 0.05), (0.07, 0.06), (-0.035, 0.1), (0.035, 0.1)):
            scene.face.dot((x, level + y), 0.016, colour)


def _lip_gap(au: Intensities) -> float:
    gap = 0.07 * au[25] + 0.2 * au[26] + 0.32 * au[27] + 0.06 * au[12] * au[25] + 0.03 * au[10]
    return max(0.0, min(gap, 0.4) - 0.012)


def _corner(scene: Scene, au: Intensities, level: float, gap: float, roundness: float) -> tuple[float, float]:
    """Where the action units of one half pull its mouth corner: distance from the centre, and height."""
    geometry = scene.geometry
    x = 0.255 + 0.022 * geometry.mouth_width + 0.115 * au[12] + 0.125 * au[20] + 0.02 * au[15]
    x -= 0.05 * au[23] + 0.02 * au[17] + 0.085 * roundness + 0.02 * au[14]
    y = level - 0.145 * au[12] + 0.13 * au[15] + 0.07 * au[20] - 0.012 * geometry.mouth_curve
    # AU20 pulls the corners of an open mouth down to the lower lip: a trapezoid, where a smile is a bowl.
    y += gap * max(0.45 * roundness, 0.6 * au[20] * (1.0 - au[12])) + 0.02 * au[26] - 0.03 * au[14]
    return x, y


def _draw_cheek(scene: Scene, half: Half) -> None:
    au, palette = half.au, scene.palette
    flush = max(au[6], 0.7 * au[12], 0.3 if scene.appearance.made_up else 0.0)
    if flush > 0.05:
        colour = mix(palette.skin, palette.blush, 0.5 * flush)
        half.canvas.ellipse((0.46, 0.31 - 0.05 * au[6]), (0.15, 0.11), colour)
        half.canvas.ellipse((0.46, 0.31 - 0.05 * au[6]), (0.1, 0.07), mix(colour, palette.blush, 0.4 * flush))


def _draw_nasolabial_fold(scene: Scene, half: Half, corner: tuple[float, float]) -> None:
    au = half.au
    fold = max(0.9 * au[9], 0.9 * au[10], 0.7 * au[12], 0.2 * au[6], 0.4 * scene.appearance.age)
    if fold <= 0.1:
        return
    # Only a smile draws the fold out to the mouth's corners; a raised lip ends it above them.
    reach = max(0.0, au[12] - max(au[9], au[10]))
    start = (scene.nose_wing + 0.02, scene.nose_base - 0.05 - 0.03 * au[9])
    end = (max(corner[0], 0.25) + 0.06, 0.56 + (corner[1] - 0.06 - 0.56) * reach)
    middle = (0.5 * (start[0] + end[0]) + 0.04, 0.5 * (start[1] + end[1]) - 0.03)
    half.canvas.crease([start, middle, end], scene.crease_colour(0.75 * fold), 0.032)


def _draw_teeth(scene: Scene, mouth: Mouth) -> None:
    au, inside = scene.mean_au, slice(2, -2)
    x, top, bottom = mouth.x[inside], mouth.upper_inner[inside], mouth.lower_inner[inside]
    if mouth.gap > 0.14:
        centre = (0.0, float(mouth.lower_inner[_CENTRE]) - 0.22 * mouth.gap)
        scene.face.ellipse(centre, (0.275 * float(mouth.x[-1] - mouth.x[0]), 0.2 * mouth.gap), _TONGUE)
    # A round mouth hides its teeth; corners or lip pulled away bare them. AU20 bares no more than their
    # edges, upper and lower: a whole row of upper teeth is a smile's.
    upper = max(0.1 * au[12], 0.1 * au[10], 0.04 * au[20], 0.03 * (1.0 - max(au[26], au[27])))
    scene.face.polygon(_band(x, top, np.minimum(top + upper, bottom)), _TEETH)
    if au[20] > 0.15:
        scene.face.polygon(_band(x, np.maximum(bottom - 0.045 * au[20], top), bottom), _TEETH)


def _band(x: np.ndarray, top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    return np.stack([np.concatenate([x, x[::-1]]), np.concatenate([top, bottom[::-1]])], axis=1)
