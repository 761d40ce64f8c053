"""Brows, forehead, eyes and glasses: action units 1, 2, 4, 5 and 7, and what 6 and 9 do to the eyes.

Curves are given for the right half of the picture, from the nose outwards, and also drawn mirrored.
Source of all movements: FACS, Ekman, Friesen & Hager 2002.
"""

import numpy as np

from .canvas import open_curve
from .colours import Colour, mix
from .scene import Scene

_ACROSS = np.linspace(-1.0, 1.0, 15)
_LID_ARCH = 1.0 - np.abs(_ACROSS) ** 2.2
_ANGLES = np.linspace(0.0, 2.0 * np.pi, 24, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)
_EYE_WHITE: Colour = (250, 249, 246)
_LASH: Colour = (26, 18, 18)


def draw_forehead(scene: Scene) -> None:
    """Draw the wrinkles of the forehead (AU1 in its middle, AU2 at its sides) and the frown (AU4)."""
    au = scene.au
    raised = 0.07 * max(au[1], au[2])
    if au[1] > 0.1:
        colour = scene.crease_colour(0.6 * au[1])
        for level in (-0.4, -0.46):
            level -= raised
            bow = [(-0.24, level + 0.02), (0.0, level - 0.015), (0.24, level + 0.02)]
            scene.face.crease(bow, colour, 0.03)
    if au[2] > 0.1:
        colour = scene.crease_colour(0.5 * au[2])
        bow = [(0.24, -0.41 - raised), (0.38, -0.43 - raised), (0.52, -0.37 - raised)]
        scene.face_sides.crease(bow, colour, 0.03)
    if au[4] > 0.1:
        colour = scene.crease_colour(0.9 * au[4])
        raised = 0.11 * au[1]
        frown = [(0.055, -0.32 - raised), (0.035, -0.25 - raised), (0.05, -0.17 - raised)]
        scene.face_sides.crease(frown, colour, 0.034)


def draw_brows(scene: Scene) -> None:
    """Draw the brows: AU1 lifts their inner ends, AU2 the outer ones, AU4 lowers them and draws them together."""
    geometry = scene.geometry
    line = open_curve(_brow_controls(scene))
    along = np.linspace(0.0, 1.0, len(line))
    half = (0.042 + 0.009 * geometry.brow_weight) * (0.82 + 0.5 * along - 0.95 * along**2)
    reach = np.stack([np.zeros_like(half), half], axis=1)
    brow = np.concatenate([line - reach, (line + reach)[::-1]])
    scene.face_sides.polygon(brow, scene.palette.brow)


def draw_eyes(scene: Scene, gaze: tuple[float, float]) -> None:
    """Draw both eyes: AU5 raises the upper lids, AU7 tightens both, AU6 and AU9 push up the lower ones."""
    upper, lower = _lids(scene)
    centre = _eye_centre(scene)
    scene.face_sides.polygon(np.concatenate([upper, lower[::-1]]), _EYE_WHITE)
    # Both eyes look the same way, so irises are not mirrored.
    for side, direction in ((scene.face, 1.0), (scene.face.mirrored(), -1.0)):
        pupil = np.array((centre + 0.05 * direction * gaze[0], -0.012 + 0.035 * gaze[1]))
        for radius, colour in ((0.096, scene.appearance.iris), (0.048, _LASH)):
            disc = _CIRCLE * radius + pupil
            top = np.interp(disc[:, 0], upper[:, 0], upper[:, 1])
            bottom = np.interp(disc[:, 0], lower[:, 0], lower[:, 1])
            disc[:, 1] = np.minimum(np.maximum(disc[:, 1], top), bottom)
            side.polygon(disc, colour)
        side.dot((pupil[0] + 0.032 * direction, max(-0.045, upper[7, 1] + 0.03)), 0.019, _EYE_WHITE)
    _draw_lid_lines(scene, upper, lower)


def draw_glasses(scene: Scene) -> None:
    """Draw glasses whose rims stay clear of resting brows."""
    if scene.appearance.glasses == "none":
        return
    centre = _eye_centre(scene)
    if scene.appearance.glasses == "round":
        rim, colour = _CIRCLE * (0.25, 0.225), (52, 44, 46)
    else:
        rim = np.array([(-0.24, -0.16), (0.26, -0.17), (0.25, 0.18), (-0.2, 0.21)])
        colour = mix(scene.appearance.shirt, (24, 20, 26), 0.7)
    rim = np.add(np.concatenate([rim, rim[:1]]), (centre, 0.03))
    sides = scene.face_sides
    sides.line(rim, colour, 0.03)
    sides.line([(centre + 0.245, 0.0), (scene.face_width, -0.02)], colour, 0.03)
    scene.face.line([(0.24 - centre, -0.01), (centre - 0.24, -0.01)], colour, 0.03)


def _eye_centre(scene: Scene) -> float:
    return 0.325 + 0.02 * scene.geometry.eye_spacing


def _brow_controls(scene: Scene) -> list[tuple[float, float]]:
    au, geometry = scene.au, scene.geometry
    base = -0.26 - 0.025 * geometry.brow_height
    tilt = 0.018 * geometry.brow_tilt
    frown, grief = _frown(scene), _grief(scene)
    # AU1+2+4 together straighten the brow.
    straight = min(au[1], au[2], au[4])
    inner = base - tilt - 0.17 * au[1] + 0.15 * frown + 0.04 * au[9]
    middle = base - 0.05 - 0.06 * au[1] - 0.1 * au[2] + 0.09 * frown + 0.03 * au[9]
    middle += 0.06 * straight + 0.035 * grief
    outer = base + 0.015 + tilt - 0.135 * au[2] + 0.01 * au[4] + 0.02 * au[1] + 0.01 * au[9]
    outer = outer + 0.06 * grief + 0.05 * straight
    inner_x, second_x = 0.135 - 0.06 * au[4] - 0.01 * au[9], 0.24 - 0.02 * au[4]
    return [(inner_x, inner), (second_x, 0.4 * inner + 0.6 * middle), (0.38, middle), (0.56, outer)]


def _frown(scene: Scene) -> float:
    """How far AU4 lowers the brows: AU1 overcomes it, so that the inner ends move up and together."""
    return scene.au[4] * max(0.0, 1.0 - 1.8 * scene.au[1])


def _grief(scene: Scene) -> float:
    """How far AU1+4 make the brows oblique, which AU2 undoes by lifting their outer ends."""
    return min(scene.au[1], scene.au[4]) * (1.0 - scene.au[2])


def _lids(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    au, geometry = scene.au, scene.geometry
    opening = 1.0 + 0.14 * geometry.eye_opening
    width = 0.196 * (1.0 + 0.07 * geometry.eye_size)
    grief = _grief(scene)
    rise = 0.108 + 0.095 * au[5] - 0.042 * au[7] - 0.02 * au[6] - 0.03 * au[9] - 0.014 * au[4] - 0.03 * grief
    drop = 0.072 * (1.0 + 0.15 * au[5] - 0.6 * au[7] - 0.75 * au[6] - 0.35 * au[9])
    # AU1+4 pull the inner part of the upper lid up and let the outer part hang: triangular eyes.
    # A frown hoods the inner part instead.
    upper_arch = _LID_ARCH * (1.0 + (0.34 * _frown(scene) - 0.34 * grief) * _ACROSS)
    slant = 0.075 * grief * _ACROSS
    x = _eye_centre(scene) + width * _ACROSS
    upper = np.stack([x, slant - opening * max(0.03, rise) * upper_arch], axis=1)
    lower = np.stack([x, slant + opening * max(0.01, drop) * _LID_ARCH], axis=1)
    return upper, lower


def _draw_lid_lines(scene: Scene, upper: np.ndarray, lower: np.ndarray) -> None:
    au, made_up, sides = scene.au, scene.appearance.made_up, scene.face_sides
    sides.line(upper, _LASH, 0.042 if made_up else 0.03)
    sides.line(lower, scene.palette.crease, 0.014 + 0.02 * au[7])
    corner_x, corner_y = upper[-1]
    if made_up:
        lash = [(corner_x - 0.02, corner_y - 0.01), (corner_x + 0.05, corner_y - 0.05 - 0.02 * au[5])]
        sides.line(lash, _LASH, 0.03)
    if au[5] < 0.6:
        fold = np.subtract(upper[2:-1:4], (0.0, 0.045))
        sides.crease(fold, scene.palette.shade, 0.02)
    bag = max(0.7 * au[6], 0.7 * au[7], 0.5 * au[9], 0.4 * scene.appearance.age)
    if bag > 0.1:
        sides.crease(np.add(lower[3:14:5], (0.0, 0.055)), scene.crease_colour(0.6 * bag), 0.026)
    if au[6] > 0.1:
        colour = scene.crease_colour(0.8 * au[6])
        for start, end in ((-0.02, -0.08), (0.015, 0.01), (0.05, 0.1)):
            sides.crease([(corner_x + 0.035, start), (corner_x + 0.115, end)], colour, 0.024)
