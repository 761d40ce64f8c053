"""Words for what a face looks like, whatever its expression."""

from ..manifests.faces.appearance import Appearance
from ..manifests.faces.colours import Colour
from .plain_data import WORDS

_WORDS = WORDS["looks"]


def colour_name(colour: Colour) -> str:
    """The closest of fourteen named colours, by squared distance in RGB."""
    return _nearest(colour, _WORDS["colours"])


def skin_name(look: Appearance) -> str:
    return f"{_nearest(look.skin, _WORDS['skins'])} skin"


def hair_style(look: Appearance) -> str:
    return _WORDS["hair"].get(look.hair_style, look.hair_style)


def beard_name(look: Appearance) -> str:
    """With its article; not for a shaven face."""
    return _WORDS["beards"][look.beard]


def hat_name(look: Appearance) -> str:
    """With its article; not for a bare head."""
    return _WORDS["hats"][look.hat]


def person(look: Appearance) -> str:
    """Man or woman where something drawn tells, person elsewhere."""
    if look.beard != "none":
        return "man"
    return "woman" if look.made_up or look.earrings else "person"


def _nearest(colour: Colour, names: dict[str, Colour]) -> str:
    return min(names, key=lambda name: sum((a - b) ** 2 for a, b in zip(colour, names[name], strict=True)))
