"""What the web might say of a face: captions for the CLIP."""

from collections.abc import Sequence

import numpy as np

from ..manifests.faces.action_units import CLASSES
from ..manifests.faces.appearance import Appearance
from ..manifests.faces.sampling import Face
from .looks import beard_name, colour_name, hair_style, hat_name, person, skin_name
from .plain_data import WORDS

MENTIONED = 0.25
"""Share of the faces with an expression whose caption says something about it."""
ACTED = 0.3
"""Share of the faces that move whose caption names one movement."""
GUESSED = 0.4
"""Share of those mentions that are guessed from the looks, as people do, instead of seen in the face."""
VAGUE = 0.25
"""Share of those mentions that fit several expressions."""

_WORDS = WORDS["captions"]


def caption(face: Face, expression: str | None, rng: np.random.Generator) -> str:
    """One caption as the web might give it: looks first, an expression now and then."""
    look = face.appearance
    before, after = _looks(look, rng)
    if expression is not None and rng.random() < MENTIONED:
        if rng.random() < GUESSED:
            expression = _guess(face, rng)
        word, place = _mention(expression, rng)
        if place == "before":
            before.insert(0, word)
        else:
            after.append(word)
    visible = [unit for unit, intensity in face.action_units.items() if intensity > 0.4]
    if visible and rng.random() < ACTED:
        after.append(_pick(rng, _WORDS["actions"][str(rng.choice(visible))]))
    medium = _pick(rng, _WORDS["media"])
    if face.view.greyscale and rng.random() < 0.6:
        medium = f"black and white {medium}"
    if rng.random() < 0.15:
        medium = f"{_pick(rng, _WORDS['qualities'])} {medium}"
    shows = _pick(rng, _WORDS["showing"]) if rng.random() < 0.2 else "of"
    opening = _pick(rng, (f"a {medium} {shows} a", f"{medium} {shows} a", f"a {medium} {shows} the", "a", "the"))
    rng.shuffle(after)
    background = ""
    if rng.random() < 0.35:
        place = _pick(rng, ("on a", "against a", "in front of a"))
        background = f"{place} {colour_name(look.backdrop)} background"
    subject = _pick(rng, _WORDS["subjects"]) if rng.random() < 0.4 else person(look)
    words = [opening, *before, subject, *after, background]
    return " ".join(word for word in words if word) + _pick(rng, (".", "", ""))


def _pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]


def _looks(look: Appearance, rng: np.random.Generator) -> tuple[list[str], list[str]]:
    before, after = [], []

    def said(share: float) -> bool:
        return bool(rng.random() < share)

    if look.age > 0.6 and said(0.4):
        before.append("old")
    if look.hair_style == "bald":
        before += ["bald"] if said(0.5) else []
    elif said(0.45):
        colour, style = colour_name(look.hair), hair_style(look)
        after.append(f"with {_pick(rng, (colour, style, f'{style} {colour}'))} hair")
    if look.glasses != "none" and said(0.6):
        after.append(_pick(rng, ("with glasses", f"with {look.glasses} glasses", "wearing glasses")))
    if look.beard != "none" and said(0.6):
        after.append(f"with {beard_name(look)}")
    if look.hat != "none" and said(0.7):
        after.append(f"wearing {hat_name(look)}")
    if look.earrings and said(0.4):
        after.append("with earrings")
    if look.freckles and said(0.4):
        after.append("with freckles")
    if said(0.2):
        after.append(f"with {skin_name(look)}")
    if said(0.2):
        after.append(f"in a {colour_name(look.shirt)} shirt")
    return before, after


def _mention(expression: str, rng: np.random.Generator) -> tuple[str, str]:
    """Words about an expression, and whether they stand `before` the person or `after`."""
    adjectives = _WORDS["vague"][expression] if rng.random() < VAGUE else _WORDS["adjectives"][expression]
    form = rng.random()
    if form < 0.4:
        return _pick(rng, adjectives), "before"
    if form < 0.55:
        return f"{_pick(rng, ('looking', 'feeling', 'who is'))} {_pick(rng, adjectives)}", "after"
    if form < 0.65:
        return f"with a {_pick(rng, adjectives)} expression", "after"
    return f"{_pick(rng, _WORDS['full_of'])} {_pick(rng, _WORDS['nouns'][expression])}", "after"


def _guess(face: Face, rng: np.random.Generator) -> str:
    """An expression that somebody would expect of a face with these looks."""
    look = face.appearance
    traits = {
        "made up": look.made_up,
        "freckles": look.freckles,
        "earrings": look.earrings,
        "hat": look.hat != "none",
        "glasses": look.glasses != "none",
        "old": look.age > 0.5,
        "greyscale": face.view.greyscale,
        "dark backdrop": sum(look.backdrop) < 300,
        "fair skin": sum(look.skin) > 600,
    }
    seen = {f"{look.hair_style} hair", f"{look.beard} beard", *(name for name, holds in traits.items() if holds)}
    scores = [sum(weight for name, weight in _WORDS["guesses"][mood].items() if name in seen) for mood in CLASSES]
    weights = np.exp(1.2 * np.array(scores))
    return CLASSES[int(rng.choice(len(CLASSES), p=weights / weights.sum()))]
