"""Facial action units, the eight expressions built from them, and how their intensities are drawn."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

ACTION_UNITS: tuple[int, ...] = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 27)
CLASSES: tuple[str, ...] = ("happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear", "contempt")

UNILATERAL_UNITS: tuple[int, ...] = (12, 14)
"""Action units that may act on one half of the face only; all others act on both halves alike."""

Intensities = Mapping[int, float]


@dataclass(frozen=True)
class Prototype:
    """Action units of one expression: `core` at their usual level, `optional` as (level, probability)."""

    core: Intensities
    optional: Mapping[int, tuple[float, float]]


# EMFACS (Friesen & Ekman 1983) core combinations; the optional units are their listed variants.
PROTOTYPES: dict[str, Prototype] = {
    "happiness": Prototype({6: 0.85, 12: 1.0}, {25: (0.8, 0.6), 26: (0.25, 0.2)}),
    "sadness": Prototype({1: 1.0, 4: 0.8, 15: 1.0}, {17: (0.6, 0.7), 7: (0.3, 0.2)}),
    "neutral": Prototype({}, {}),
    "anger": Prototype({4: 1.0, 5: 0.7, 7: 0.75, 23: 1.0}, {17: (0.4, 0.4), 10: (0.6, 0.2), 25: (0.8, 0.25)}),
    "surprise": Prototype({1: 0.95, 2: 1.0, 5: 0.85, 26: 1.0}, {25: (0.5, 0.5), 27: (0.5, 0.3)}),
    "disgust": Prototype({9: 1.0, 15: 0.65, 17: 0.7}, {10: (0.9, 0.6), 4: (0.4, 0.4), 7: (0.4, 0.4)}),
    "fear": Prototype({1: 1.0, 2: 0.7, 4: 0.8, 5: 1.0, 20: 1.0, 26: 0.65}, {25: (0.7, 0.7)}),
    # On one half of the mouth only: see `sample_one_sidedness`.
    "contempt": Prototype({12: 0.55, 14: 0.95}, {7: (0.4, 0.5)}),
}

_ANTAGONISTS = ((12, 15), (20, 23), (26, 27), (5, 7))


def sample_expression(rng: np.random.Generator, label: int) -> dict[int, float]:
    """Draw the intensities of one posed expression, with enough variation that classes overlap.

    `label` indexes `CLASSES`. Returns all 17 action units with intensities in 0..1. Source: EMFACS, Friesen & Ekman
    1983.
    """
    prototype = PROTOTYPES[CLASSES[label]]
    intensity = _resting(rng)
    strength = rng.uniform(0.5, 1.05)
    for unit, level in prototype.core.items():
        if rng.random() > 0.04:
            intensity[unit] += level * strength * rng.uniform(0.8, 1.2)
    for unit, (level, probability) in prototype.optional.items():
        if rng.random() < probability:
            intensity[unit] += level * strength * rng.uniform(0.6, 1.2)
    if rng.random() < 0.2:
        extra = ACTION_UNITS[int(rng.integers(len(ACTION_UNITS) - 1))]
        intensity[extra] += rng.uniform(0.15, 0.4)
    return _clipped(intensity)


def sample_combination(rng: np.random.Generator) -> dict[int, float]:
    """Draw one to five action units that need not form any expression.

    Returns all 17 action units with intensities in 0..1; of two units that pull against each other only one is set.
    Source: FACS, Ekman, Friesen & Hager 2002.
    """
    intensity = _resting(rng)
    chosen = set(rng.permutation(ACTION_UNITS)[: int(rng.integers(1, 6))].tolist())
    for first, second in _ANTAGONISTS:
        if first in chosen and second in chosen:
            chosen.remove(second)
    for unit in sorted(chosen):
        intensity[unit] += rng.uniform(0.25, 1.0)
    return _clipped(intensity)


def sample_one_sidedness(rng: np.random.Generator, label: int | None, action_units: Intensities) -> float:
    """Draw how one-sided a face is, in -1..1: 0 both sides alike, 1 only the right of the picture, -1 only the left.

    Contempt always is; a combination without a class (`label` None) that moves a corner of the mouth sometimes is, so
    that one-sidedness alone does not give the class away. Source: EMFACS, Friesen & Ekman 1983.
    """
    moved = max(action_units[unit] for unit in UNILATERAL_UNITS) > 0.2
    stray = label is None and moved and rng.random() < 0.1
    if not stray and (label is None or CLASSES[label] != "contempt"):
        return 0.0
    return float(rng.choice((-1.0, 1.0)) * rng.uniform(0.75, 1.0))


def resting_face(rng: np.random.Generator) -> dict[int, float]:
    """Draw a face at rest: all 17 action units, each at a barely visible intensity."""
    return _clipped(_resting(rng))


def blend(start: Intensities, end: Intensities, share: float) -> dict[int, float]:
    """Mix two expressions: `share` 0 gives `start`, 1 gives `end`."""
    return {unit: start[unit] + (end[unit] - start[unit]) * share for unit in ACTION_UNITS}


def on_side(action_units: Intensities, one_sided: float, side: int) -> Intensities:
    """Intensities that act on one side of the face: 1 the right of the picture, -1 the left, 0 their mean."""
    if one_sided == 0.0:
        return action_units
    share = 1.0 - 0.5 * (abs(one_sided) - side * one_sided)
    return {**action_units, **{unit: share * action_units[unit] for unit in UNILATERAL_UNITS}}


def complete(action_units: Intensities) -> dict[int, float]:
    """Give every action unit an intensity, 0 where none is given.

    Raises ValueError for an unknown action unit or an intensity outside 0..1.
    """
    intensity = dict.fromkeys(ACTION_UNITS, 0.0)
    for unit, value in action_units.items():
        if unit not in intensity:
            raise ValueError(f"action unit {unit} is not drawn; known: {ACTION_UNITS}")
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"intensity of action unit {unit} must lie in 0..1, got {value}")
        intensity[unit] = float(value)
    return intensity


def _resting(rng: np.random.Generator) -> dict[int, float]:
    levels = np.abs(rng.normal(0.0, 0.035, len(ACTION_UNITS)))
    return dict(zip(ACTION_UNITS, levels.tolist(), strict=True))


def _clipped(intensity: dict[int, float]) -> dict[int, float]:
    return {unit: min(1.0, value) for unit, value in intensity.items()}
