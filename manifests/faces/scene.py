"""What every part of a face needs to be drawn: the canvases, the colours and the shared landmarks."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import ImageDraw

from .action_units import Intensities, on_side
from .appearance import Appearance, Geometry, View
from .canvas import Canvas
from .colours import Colour, luminance, mix

# Pixels per face unit in widths of the picture, and the height of the eyes' midpoint: an aligned face crop.
_UNIT = 0.47
_EYE_LEVEL = 0.425
_PIGMENT: Colour = (46, 16, 12)
_BLACK: Colour = (16, 12, 14)


@dataclass(frozen=True)
class Palette:
    """Colours of one person; `muzzle` is what surrounds the mouth: skin or beard."""

    skin: Colour
    shade: Colour
    crease: Colour
    blush: Colour
    hair: Colour
    hair_shade: Colour
    brow: Colour
    lip: Colour
    lip_line: Colour
    muzzle: Colour


@dataclass(frozen=True)
class Half:
    """One half of the features: a canvas whose x points outwards, and the action units acting there."""

    canvas: Canvas
    au: Intensities


@dataclass(frozen=True)
class Scene:
    """One face about to be drawn: `head` is the canvas of the skull, `face` that of its features.

    Turning the head moves the features more than the outline, and the nose, which stands out, most.
    """

    au: Intensities
    one_sided: float
    appearance: Appearance
    palette: Palette
    head: Canvas
    face: Canvas
    nose: Canvas

    @property
    def geometry(self) -> Geometry:
        return self.appearance.geometry

    @cached_property
    def face_sides(self) -> Canvas:
        """The features' canvas and its mirror image."""
        return self.face.with_mirror_image()

    @cached_property
    def halves(self) -> tuple[Half, Half]:
        """The right and the left half of the features, which differ in a one-sided face."""
        right, left = (on_side(self.au, self.one_sided, side) for side in (1, -1))
        return Half(self.face, right), Half(self.face.mirrored(), left)

    @cached_property
    def mean_au(self) -> Intensities:
        """The action units averaged over both halves: what moves the middle of the mouth."""
        return on_side(self.au, self.one_sided, 0)

    @property
    def face_width(self) -> float:
        """Half the width of the head at the cheekbones."""
        return 0.73 + 0.045 * self.geometry.face_width

    @property
    def jaw_drop(self) -> float:
        """How far the chin is below its place at rest (AU26 drops the jaw, AU27 stretches it)."""
        return 0.08 * self.au[26] + 0.14 * self.au[27]

    @property
    def chin(self) -> float:
        return 1.0 + 0.05 * self.geometry.chin_length + self.jaw_drop

    @property
    def nose_base(self) -> float:
        """Height of the nostrils; AU9 and, to a lesser degree, AU10 pull up the wings of the nose."""
        return 0.36 + 0.025 * self.geometry.nose_length - 0.05 * self.au[9] - 0.015 * self.au[10]

    @property
    def nose_wing(self) -> float:
        """Half the width of the nose; AU9 and AU10 widen its wings."""
        return (0.12 + 0.02 * self.geometry.nose_width) * (1.0 + 0.22 * self.au[9] + 0.08 * self.au[10])

    def crease_colour(self, intensity: float, base: Colour | None = None) -> Colour:
        """Colour of a wrinkle of the given intensity on the skin, or on `base`."""
        return mix(base or self.palette.skin, self.palette.crease, 0.25 + 0.75 * intensity)


def build_scene(
    au: Intensities, one_sided: float, appearance: Appearance, view: View, ink: ImageDraw.ImageDraw, width: int
) -> Scene:
    """Place a face in a picture `width` pixels wide."""
    unit = width * _UNIT * view.scale
    angle = math.radians(view.rotation)
    cosine, sine = math.cos(angle) * unit, math.sin(angle) * unit
    head = Canvas(
        ink=ink,
        matrices=(np.array(((cosine, sine), (-sine, cosine))),),
        origin=np.array((width * (0.5 + view.shift_x), width * (_EYE_LEVEL + view.shift_y))),
        unit=unit,
    )
    face = head.shifted(0.06 * view.yaw, 0.04 * view.pitch)
    nose = face.shifted(0.04 * view.yaw, 0.02 * view.pitch)
    return Scene(au, one_sided, appearance, build_palette(appearance), head, face, nose)


def build_palette(appearance: Appearance) -> Palette:
    """Derive all colours of a person from the few in the appearance."""
    skin, hair = appearance.skin, appearance.hair
    crease = mix(skin, _PIGMENT, 0.72)
    brow = mix(hair, _BLACK, 0.45)
    # Brows carry half of the expression: keep them legible on any skin.
    if luminance(skin) - luminance(brow) < 75:
        brow = mix(hair, _BLACK, 0.9)
    lip = mix(skin, (196, 40, 62), 0.62) if appearance.made_up else mix(skin, (168, 58, 58), 0.42)
    muzzle = hair if appearance.beard in ("full", "goatee") else skin
    return Palette(
        skin=skin,
        shade=mix(skin, (120, 44, 24), 0.3),
        crease=crease,
        blush=mix(skin, (236, 92, 84), 0.45),
        hair=hair,
        hair_shade=mix(hair, _BLACK, 0.3),
        brow=brow,
        lip=lip,
        lip_line=mix(lip, (52, 8, 10), 0.75),
        muzzle=muzzle,
    )
