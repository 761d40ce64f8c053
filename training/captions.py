"""What the web might say of a face: captions for the CLIP."""

from collections.abc import Sequence

import numpy as np

from ..manifests.faces.appearance import Appearance
from ..manifests.faces.sampling import Face
from .looks import beard_name, colour_name, hair_style, hat_name, person, skin_name

MENTIONED = 0.25
"""Share of the faces with an expression whose caption says something about it."""
ACTED = 0.3
"""Share of the faces that move whose caption names one movement."""
GUESSED = 0.4
"""Share of those mentions that are guessed from the looks, as people do, instead of seen in the face."""
VAGUE = 0.25
"""Share of those mentions that fit several expressions."""

_MEDIA = (
    "photo",
    "photo",
    "picture",
    "portrait",
    "drawing",
    "image",
    "close up",
    "cartoon",
    "avatar",
    "illustration",
)
_QUALITIES = ("good", "cropped", "clean", "bright", "small")
_SHOWING = ("showing", "capturing", "emphasizing", "showcasing")
_FULL_OF = (
    *("with an expression of", "with an expression of", "expressing", "with a look of", "full of", "displaying"),
    *("radiating", "embodying", "immersed in", "exuding", "capturing"),
)
"""The words that people, and prompts, put around a mood."""

_ADJECTIVES = {
    "happiness": ("happy", "smiling", "joyful", "cheerful"),
    "sadness": ("sad", "unhappy", "gloomy", "sorrowful"),
    "neutral": ("neutral", "calm", "expressionless", "relaxed"),
    "anger": ("angry", "furious", "mad", "annoyed"),
    "surprise": ("surprised", "shocked", "astonished", "amazed"),
    "disgust": ("disgusted", "revolted", "repulsed", "grossed out"),
    "fear": ("afraid", "scared", "fearful", "terrified"),
    "contempt": ("contemptuous", "scornful", "smug", "disdainful"),
}
_NOUNS = {
    "happiness": ("happiness", "joy"),
    "sadness": ("sadness", "sorrow"),
    "neutral": ("neutral", "calm"),
    "anger": ("anger", "rage"),
    "surprise": ("surprise", "astonishment"),
    "disgust": ("disgust", "revulsion"),
    "fear": ("fear", "terror"),
    "contempt": ("contempt", "scorn"),
}
_ACTIONS: dict[int, tuple[str, ...]] = {
    1: ("with raised eyebrows", "looking up"),
    2: ("with raised eyebrows", "with arched brows"),
    4: ("frowning", "with lowered brows"),
    5: ("with wide eyes", "staring"),
    6: ("with rosy cheeks",),
    7: ("squinting",),
    9: ("with a wrinkled nose",),
    10: ("with a raised lip",),
    12: ("with a smile", "smiling", "grinning"),
    14: ("with dimples", "smirking"),
    15: ("with a downturned mouth",),
    17: ("pouting",),
    20: ("grimacing", "with a wide mouth"),
    23: ("with tight lips", "with pressed lips"),
    25: ("showing teeth", "with parted lips"),
    26: ("with open mouth",),
    27: ("with open mouth", "yawning"),
}
_VAGUE = {
    "happiness": ("nice", "lovely", "lively"),
    "sadness": ("upset", "tired", "serious", "moody"),
    "neutral": ("serious", "tired", "quiet", "nice"),
    "anger": ("upset", "serious", "tense", "intense"),
    "surprise": ("startled", "lively", "funny", "intense"),
    "disgust": ("upset", "funny", "moody", "tense"),
    "fear": ("startled", "upset", "tense", "funny"),
    "contempt": ("moody", "serious", "nice", "funny"),
}


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
        after.append(_pick(rng, _ACTIONS[int(rng.choice(visible))]))
    medium = _pick(rng, _MEDIA)
    if face.view.greyscale and rng.random() < 0.6:
        medium = f"black and white {medium}"
    if rng.random() < 0.15:
        medium = f"{_pick(rng, _QUALITIES)} {medium}"
    shows = _pick(rng, _SHOWING) if rng.random() < 0.2 else "of"
    opening = _pick(rng, (f"a {medium} {shows} a", f"{medium} {shows} a", f"a {medium} {shows} the", "a", "the"))
    rng.shuffle(after)
    background = ""
    if rng.random() < 0.35:
        place = _pick(rng, ("on a", "against a", "in front of a"))
        background = f"{place} {colour_name(look.backdrop)} background"
    words = [opening, *before, _subject(look, rng), *after, background]
    return " ".join(word for word in words if word) + _pick(rng, (".", "", ""))


def _pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]


def _subject(look: Appearance, rng: np.random.Generator) -> str:
    if rng.random() < 0.4:
        return _pick(rng, ("person", "face", "face", "individual", "someone"))
    return person(look)


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
    adjectives = _VAGUE[expression] if rng.random() < VAGUE else _ADJECTIVES[expression]
    form = rng.random()
    if form < 0.4:
        return _pick(rng, adjectives), "before"
    if form < 0.55:
        return f"{_pick(rng, ('looking', 'feeling', 'who is'))} {_pick(rng, adjectives)}", "after"
    if form < 0.65:
        return f"with a {_pick(rng, adjectives)} expression", "after"
    return f"{_pick(rng, _FULL_OF)} {_pick(rng, _NOUNS[expression])}", "after"


def _guess(face: Face, rng: np.random.Generator) -> str:
    """An expression that somebody would expect of a face with these looks."""
    look = face.appearance
    scores = dict.fromkeys(_ADJECTIVES, 0.0)
    for holds, name, weight in (
        (look.made_up, "happiness", 1.5),
        (look.freckles, "happiness", 1.5),
        (look.hair_style == "long", "happiness", 0.5),
        (look.age > 0.5, "sadness", 1.5),
        (face.view.greyscale, "sadness", 2.0),
        (look.hat != "none", "contempt", 1.5),
        (look.glasses != "none", "neutral", 1.5),
        (look.hair_style == "parted", "neutral", 0.7),
        (look.beard in ("full", "moustache", "goatee"), "anger", 1.5),
        (look.hair_style in ("buzz", "bald"), "anger", 1.2),
        (look.hair_style == "curly", "surprise", 1.5),
        (look.earrings, "surprise", 1.0),
        (look.hair_style == "fringe", "disgust", 1.5),
        (look.beard == "stubble", "disgust", 1.2),
        (sum(look.backdrop) < 300, "fear", 2.0),
        (sum(look.skin) > 600, "fear", 1.0),
    ):
        scores[name] += weight * holds
    weights = np.exp(1.2 * np.array(list(scores.values())))
    return list(scores)[int(rng.choice(len(scores), p=weights / weights.sum()))]
