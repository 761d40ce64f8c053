"""Faces and clips that depend on nothing but a seed and an index."""

from dataclasses import dataclass, replace

import numpy as np

from .action_units import CLASSES, Intensities, blend, resting_face, sample_combination, sample_expression
from .appearance import Appearance, View, sample_appearance, sample_view

_CLIP_STREAM = 1


@dataclass(frozen=True)
class Face:
    """One face: what `draw_face` takes, and the class its expression was drawn from (None: no class)."""

    action_units: Intensities
    appearance: Appearance
    view: View
    label: int | None


def sample_face(seed: int, index: int, label: int | None = None) -> Face:
    """Draw face `index` of the series `seed`; it does not depend on any other index.

    `label` (0..6: happiness, sadness, neutral, anger, surprise, disgust, fear) asks for an expression
    of that class. Without it, half the faces show an expression of a random class and half a random
    combination of action units, whose `label` is None. Raises ValueError for another label or a
    negative seed or index. Source: EMFACS, Friesen & Ekman 1983.
    """
    _check(label)
    rng = np.random.default_rng((seed, index))
    if label is None and rng.random() < 0.5:
        label = int(rng.integers(len(CLASSES)))
    action_units = sample_combination(rng) if label is None else sample_expression(rng, label)
    return Face(action_units, sample_appearance(rng), sample_view(rng), label)


def sample_clip(seed: int, index: int, label: int, n_frames: int) -> list[Face]:
    """Draw clip `index` of the series `seed`: rest, onset to the apex, and hold, while the head drifts.

    `n_frames` is the length of the clip, at least 2. Raises ValueError for an unknown label.
    """
    _check(label)
    rng = np.random.default_rng((seed, index, _CLIP_STREAM))
    rest, apex = resting_face(rng), sample_expression(rng, label)
    appearance, view = sample_appearance(rng), sample_view(rng)
    begin, end = rng.uniform(0.0, 0.15), rng.uniform(0.55, 0.8)
    turn, yaw, right, down = (rng.normal(0.0, 1.0, 4) * (3.0, 0.2, 0.012, 0.01)).tolist()
    frames = []
    for number, time in enumerate(np.linspace(0.0, 1.0, n_frames).tolist()):
        share = min(1.0, max(0.0, (time - begin) / (end - begin)))
        moved = replace(
            view,
            rotation=view.rotation + turn * time,
            yaw=view.yaw + yaw * time,
            shift_x=view.shift_x + right * time,
            shift_y=view.shift_y + down * time,
            noise_seed=view.noise_seed + number,
        )
        # Smooth onset: muscles neither start nor stop abruptly.
        eased = share * share * (3.0 - 2.0 * share)
        frames.append(Face(blend(rest, apex, eased), appearance, moved, label))
    return frames


def _check(label: int | None) -> None:
    if label is not None and not 0 <= label < len(CLASSES):
        raise ValueError(f"label must lie in 0..{len(CLASSES) - 1}, got {label}")
