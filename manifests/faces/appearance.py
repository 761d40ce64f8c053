"""Who is drawn and how the picture is taken: everything about a face that is not its expression."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TypeVar

import numpy as np

from .colours import Colour, mix

Option = TypeVar("Option")

HAIR_STYLES = ("short", "parted", "fringe", "curly", "long", "buzz", "bald")
BEARDS = ("none", "stubble", "moustache", "goatee", "full")
GLASSES = ("none", "round", "square")
HATS = ("none", "beanie", "brim")
BACKGROUNDS = ("plain", "wall", "panel")


@dataclass(frozen=True)
class Geometry:
    """Shape of a person's face; every field is a deviation from the average, in -1..1."""

    face_width: float = 0.0
    jaw_width: float = 0.0
    chin_length: float = 0.0
    brow_height: float = 0.0
    brow_tilt: float = 0.0
    brow_weight: float = 0.0
    eye_spacing: float = 0.0
    eye_size: float = 0.0
    eye_opening: float = 0.0
    nose_width: float = 0.0
    nose_length: float = 0.0
    mouth_width: float = 0.0
    mouth_height: float = 0.0
    mouth_curve: float = 0.0
    lip_fullness: float = 0.0
    hairline: float = 0.0


@dataclass(frozen=True)
class Appearance:
    """A person: colours are RGB in 0..255, `age` is in 0..1, styles are named in this module."""

    skin: Colour = (236, 194, 160)
    hair: Colour = (84, 54, 36)
    iris: Colour = (86, 60, 40)
    shirt: Colour = (62, 92, 150)
    backdrop: Colour = (176, 196, 206)
    background: str = "plain"
    hair_style: str = "short"
    beard: str = "none"
    glasses: str = "none"
    hat: str = "none"
    made_up: bool = False
    earrings: bool = False
    freckles: bool = False
    age: float = 0.0
    geometry: Geometry = field(default_factory=Geometry)


@dataclass(frozen=True)
class View:
    """Pose and camera; the default is a frontal, evenly lit, noiseless picture.

    `rotation` is in degrees; `yaw`, `pitch` and gaze in -1..1; shifts in widths of the picture; `light_x` and
    `light_y` are relative brightness gradients from centre to edge; `blur` is in pixels of a 96-pixel picture and
    `noise` in grey levels.
    """

    rotation: float = 0.0
    yaw: float = 0.0
    pitch: float = 0.0
    scale: float = 1.0
    shift_x: float = 0.0
    shift_y: float = 0.0
    gaze_x: float = 0.0
    gaze_y: float = 0.0
    light_x: float = 0.0
    light_y: float = 0.0
    gain: float = 1.0
    blur: float = 0.0
    noise: float = 0.0
    noise_seed: int = 0
    greyscale: bool = False


_SKIN_RAMP: tuple[Colour, ...] = (
    (250, 222, 203), (240, 199, 168), (224, 174, 136), (196, 142, 104), (160, 111, 80), (128, 88, 63)
)  # fmt: skip
_DARK_HAIR: tuple[Colour, ...] = ((34, 28, 28), (52, 36, 28), (84, 54, 36))
_LIGHT_HAIR: tuple[Colour, ...] = (*_DARK_HAIR, (122, 82, 48), (216, 178, 104), (170, 78, 40))
_GREY_HAIR: tuple[Colour, ...] = ((150, 150, 152), (204, 202, 198))
_DYED_HAIR: tuple[Colour, ...] = ((70, 96, 160), (186, 76, 124), (84, 150, 120))
_IRISES: tuple[Colour, ...] = ((74, 48, 30), (52, 36, 26), (70, 110, 160), (76, 122, 84), (104, 112, 116))
_SHIRTS: tuple[Colour, ...] = (
    (62, 92, 150), (178, 58, 58), (58, 128, 92), (44, 44, 52), (236, 234, 228), (126, 84, 152),
    (226, 168, 62),
)  # fmt: skip
_BACKDROPS: tuple[Colour, ...] = (
    (238, 236, 230), (150, 186, 220), (160, 196, 160), (238, 210, 140), (214, 140, 126), (74, 82, 98),
    (230, 184, 196), (156, 156, 158), (176, 160, 206), (112, 158, 164),
)  # fmt: skip


def sample_appearance(rng: np.random.Generator) -> Appearance:
    """Draw a person at random, independently of any expression."""
    masculine = rng.random() < 0.5
    age = float(rng.beta(1.2, 2.2))
    darkness = float(rng.random())
    styles = ("short", "short", "parted", "curly", "buzz", "bald", "long")
    if not masculine:
        styles = ("long", "long", "long", "fringe", "parted", "curly", "short")
    beards = ("none", "none", "none", "stubble", "moustache", "goatee", "full")
    return Appearance(
        skin=_skin(rng, darkness),
        hair=_jittered(rng, _hair(rng, age, darkness), 0.2),
        iris=_pick(rng, _IRISES[:2] if darkness > 0.6 else _IRISES),
        shirt=_jittered(rng, _pick(rng, _SHIRTS), 0.15),
        backdrop=_jittered(rng, _pick(rng, _BACKDROPS), 0.12),
        background=_pick(rng, BACKGROUNDS),
        hair_style=_pick(rng, styles),
        beard=_pick(rng, beards) if masculine else "none",
        glasses=_pick(rng, ("none", "none", "none", "round", "square")),
        hat=_pick(rng, ("none",) * 12 + ("beanie", "brim")),
        made_up=not masculine and rng.random() < 0.75,
        earrings=not masculine and rng.random() < 0.3,
        freckles=rng.random() < 0.08,
        age=age,
        geometry=_geometry(rng),
    )


def sample_view(rng: np.random.Generator) -> View:
    """Draw pose, light and camera as an aligned face crop of a photograph shows them."""
    blurred = rng.random() < 0.15
    return View(
        rotation=_bounded(rng, 5.0, 14.0),
        yaw=_bounded(rng, 0.4, 1.0),
        pitch=_bounded(rng, 0.35, 1.0),
        scale=rng.uniform(0.93, 1.08),
        shift_x=_bounded(rng, 0.015, 0.04),
        shift_y=_bounded(rng, 0.012, 0.03),
        gaze_x=_bounded(rng, 0.25, 1.0),
        gaze_y=_bounded(rng, 0.2, 1.0),
        light_x=rng.uniform(-0.18, 0.18),
        light_y=rng.uniform(-0.14, 0.14),
        gain=rng.uniform(0.8, 1.03),
        blur=rng.uniform(0.2, 0.5) if blurred else 0.0,
        noise=rng.uniform(0.0, 4.0),
        noise_seed=int(rng.integers(2**31)),
        greyscale=rng.random() < 0.08,
    )


def _pick(rng: np.random.Generator, options: Sequence[Option]) -> Option:
    return options[int(rng.integers(len(options)))]


def _bounded(rng: np.random.Generator, spread: float, limit: float) -> float:
    return max(-limit, min(limit, rng.normal(0.0, spread)))


def _jittered(rng: np.random.Generator, colour: Colour, spread: float) -> Colour:
    # Brighter or darker as a whole, so that the hue stays recognisable.
    factor = 1.0 + rng.uniform(-spread, spread)
    red, green, blue = (min(255, round(factor * channel)) for channel in colour)
    return red, green, blue


def _skin(rng: np.random.Generator, darkness: float) -> Colour:
    position = darkness * (len(_SKIN_RAMP) - 1)
    step = min(int(position), len(_SKIN_RAMP) - 2)
    # One undertone rather than three independent channels: skin never turns green.
    undertone = _bounded(rng, 4.0, 5.0)
    red, green, blue = mix(_SKIN_RAMP[step], _SKIN_RAMP[step + 1], position - step)
    return min(255, round(red + undertone)), round(green), round(blue - undertone)


def _hair(rng: np.random.Generator, age: float, darkness: float) -> Colour:
    chance = rng.random()
    if chance < 0.02:
        return _pick(rng, _DYED_HAIR)
    if chance < 0.02 + 0.6 * age:
        return _pick(rng, _GREY_HAIR)
    return _pick(rng, _DARK_HAIR if darkness > 0.55 else _LIGHT_HAIR)


def _geometry(rng: np.random.Generator) -> Geometry:
    deviations = np.clip(rng.normal(0.0, 0.5, len(fields(Geometry))), -1.0, 1.0)
    return Geometry(*deviations.tolist())
