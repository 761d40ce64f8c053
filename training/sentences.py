"""What the teacher is asked about a face, and what it answers."""

from ..manifests.faces.action_units import UNILATERAL_UNITS
from ..manifests.faces.sampling import Face
from ..manifests.prompts import instruction
from .looks import beard_name, colour_name, hair_style, hat_name, person, skin_name
from .plain_data import WORDS

ACTION_QUESTIONS = [*(instruction(f"related-{k}").text for k in (1, 1, 2, 3)), *WORDS["questions"]["action"]]
LOOK_QUESTIONS: list[str] = WORDS["questions"]["look"]
OPEN_QUESTIONS: list[str] = WORDS["questions"]["open"]
_NOTICED, _PLAIN, _STRONG = 0.2, 0.45, 0.75
"""Intensities from which an action is worth a word, is more than slight, and is called strong."""


def action_phrases(face: Face) -> list[str]:
    """The actions of a face in words, in the order of the action units."""
    phrases = []
    for unit, intensity in face.action_units.items():
        if intensity > _NOTICED:
            degree = " slightly" if intensity < _PLAIN else " strongly" if intensity > _STRONG else ""
            side = " on one side" if face.one_sided and unit in UNILATERAL_UNITS else ""
            phrases.append(WORDS["actions"][str(unit)] + degree + side)
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
