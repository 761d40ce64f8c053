"""Words for what a face looks like, whatever its expression."""

from ..manifests.faces.appearance import Appearance
from ..manifests.faces.colours import Colour

_COLOURS: dict[str, Colour] = {
    "black": (40, 36, 38),
    "brown": (96, 64, 42),
    "blond": (216, 178, 104),
    "red": (178, 62, 50),
    "grey": (152, 152, 154),
    "white": (236, 234, 228),
    "blue": (80, 110, 170),
    "light blue": (150, 186, 220),
    "green": (70, 134, 96),
    "light green": (160, 196, 160),
    "yellow": (232, 190, 100),
    "pink": (226, 170, 180),
    "purple": (140, 108, 170),
    "teal": (112, 158, 164),
}
_SKINS: dict[str, Colour] = {
    "fair": (246, 212, 188),
    "tan": (220, 170, 132),
    "brown": (170, 120, 88),
    "dark": (124, 84, 60),
}
_HAIR = {"fringe": "fringed", "buzz": "very short"}
_BEARDS = {"stubble": "stubble", "moustache": "a moustache", "goatee": "a goatee", "full": "a full beard"}
_HATS = {"beanie": "a beanie", "brim": "a hat"}


def colour_name(colour: Colour) -> str:
    """The closest of fourteen named colours, by squared distance in RGB."""
    return _nearest(colour, _COLOURS)


def skin_name(look: Appearance) -> str:
    return f"{_nearest(look.skin, _SKINS)} skin"


def hair_style(look: Appearance) -> str:
    return _HAIR.get(look.hair_style, look.hair_style)


def beard_name(look: Appearance) -> str:
    """With its article; not for a shaven face."""
    return _BEARDS[look.beard]


def hat_name(look: Appearance) -> str:
    """With its article; not for a bare head."""
    return _HATS[look.hat]


def person(look: Appearance) -> str:
    """Man or woman where something drawn tells, person elsewhere."""
    if look.beard != "none":
        return "man"
    return "woman" if look.made_up or look.earrings else "person"


def _nearest(colour: Colour, names: dict[str, Colour]) -> str:
    return min(names, key=lambda name: sum((a - b) ** 2 for a, b in zip(colour, names[name], strict=True)))
