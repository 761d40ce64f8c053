"""What the teacher is asked about a face, and what it answers."""

from ..manifests.faces.action_units import UNILATERAL_UNITS
from ..manifests.faces.sampling import Face
from ..manifests.prompts import instruction
from .looks import beard_name, colour_name, hair_style, hat_name, person, skin_name

ACTION_QUESTIONS = (
    *(instruction(f"related-{k}").text for k in (1, 1, 2, 3)),
    "Describe the facial actions of the person in the image.",
    "Objectively describe the detailed facial actions.",
    "Which facial muscles are moving?",
    "Describe the movements of the face in detail.",
    "You are a facial action coder. List the facial actions.",
)
LOOK_QUESTIONS = (
    "Please play the role of an appearance describer. "
    "Objectively describe the detailed appearance of the person in the image.",
    "Describe the appearance of the person in the image.",
    "Describe the hair, clothes and background.",
    "Who is in the image? Describe the look.",
    "List the visible attributes of the person.",
    "Please describe the background and the hair of the person in the image.",
)
OPEN_QUESTIONS = ("", "Describe the image.")

_ACTIONS = {
    1: "inner brows raised",
    2: "outer brows raised",
    4: "brows lowered together",
    5: "upper eyelids raised",
    6: "cheeks raised",
    7: "eyelids tightened",
    9: "nose wrinkled",
    10: "upper lip raised",
    12: "lip corners pulled up",
    14: "mouth corners dimpled",
    15: "lip corners pulled down",
    17: "chin raised",
    20: "lips stretched sideways",
    23: "lips tightened",
    25: "lips parted",
    26: "jaw dropped",
    27: "mouth stretched open",
}
"""Names of the action units in words. Source: FACS, Ekman, Friesen & Hager 2002."""

_NOTICED, _STRONG = 0.2, 0.75
"""Intensities from which an action is worth a word, and from which it is called strong."""
_SLIGHT = 0.45


def action_phrases(face: Face) -> list[str]:
    """The actions of a face in words, in the order of the action units."""
    phrases = []
    for unit, intensity in face.action_units.items():
        if intensity > _NOTICED:
            degree = " slightly" if intensity < _SLIGHT else " strongly" if intensity > _STRONG else ""
            side = " on one side" if face.one_sided and unit in UNILATERAL_UNITS else ""
            phrases.append(_ACTIONS[unit] + degree + side)
    return phrases or ["the face is relaxed"]


def look_phrases(face: Face) -> list[str]:
    """The looks of a face in words, from top to bottom."""
    look = face.appearance
    bald = look.hair_style == "bald"
    phrases = [person(look), "bald" if bald else f"{hair_style(look)} {colour_name(look.hair)} hair", skin_name(look)]
    if look.glasses != "none":
        phrases.append(f"{look.glasses} glasses")
    if look.beard != "none":
        phrases.append(beard_name(look))
    if look.hat != "none":
        phrases.append(hat_name(look))
    if look.earrings:
        phrases.append("earrings")
    return [*phrases, f"{colour_name(look.shirt)} shirt", f"{colour_name(look.backdrop)} background"]


def sentence(phrases: list[str]) -> str:
    return ", ".join(phrases) + "."
