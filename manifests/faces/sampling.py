"""Faces and clips that depend only on a seed and an index."""

from dataclasses import dataclass, replace

import numpy as np

from .action_units import (
    CLASSES,
    Intensities,
    blend,
    resting_face,
    sample_combination,
    sample_expression,
    sample_one_sidedness,
)
from .appearance import Appearance, View, sample_appearance, sample_view
from .drawing import draw_face

_CLIP_STREAM = 1


@dataclass(frozen=True)
class Face:
    """One face: what `draw_face` takes, and the class its expression was drawn from (None: no class).

    `one_sided` in -1..1 is what `draw_face` takes by that name; only contempt and a few combinations have it.
    """

    action_units: Intensities
    appearance: Appearance
    view: View
    label: int | None
    one_sided: float = 0.0

    def draw(self, size: int = 96) -> np.ndarray:
        """Draw the face as an RGB picture (size, size, 3) uint8; raises what `draw_face` raises."""
        return draw_face(self.action_units, self.appearance, self.view, size, one_sided=self.one_sided)


def sample_face(seed: int, index: int, label: int | None = None) -> Face:
    """Draw face `index` of the series `seed`; it does not depend on any other index.

    `label` indexes `CLASSES` and asks for an expression of that class. Without it, half the faces show an expression
    of a random class and half a random combination of action units, whose `label` is None. Raises ValueError for
    another label or a negative seed or index. Source: EMFACS, Friesen & Ekman 1983.
    """
    _check(label)
    rng = np.random.default_rng((seed, index))
    if label is None and rng.random() < 0.5:
        label = int(rng.integers(len(CLASSES)))
    action_units = sample_combination(rng) if label is None else sample_expression(rng, label)
    one_sided = sample_one_sidedness(rng, label, action_units)
    return Face(action_units, sample_appearance(rng), sample_view(rng), label, one_sided)


def sample_clip(seed: int, index: int, label: int, n_frames: int) -> list[Face]:
    """Draw clip `index` of the series `seed`: rest, onset to the apex, and hold, while the head drifts.

    The apex is held to the end, except for a tremor of at most 8 % of its intensities. `n_frames` is the length of
    the clip, at least 2. Raises ValueError for an unknown label.
    """
    _check(label)
    rng = np.random.default_rng((seed, index, _CLIP_STREAM))
    rest, apex = resting_face(rng), sample_expression(rng, label)
    one_sided = sample_one_sidedness(rng, label, apex)
    appearance, view = sample_appearance(rng), sample_view(rng)
    levels = _onset_and_hold(rng, n_frames).tolist()
    views = _drifting(rng, view, n_frames)
    return [
        Face(blend(rest, apex, level), appearance, moved, label, one_sided)
        for level, moved in zip(levels, views, strict=True)
    ]


def _onset_and_hold(rng: np.random.Generator, n_frames: int) -> np.ndarray:
    """How much of the apex each frame shows, as (n_frames,): 0 at first, 0.92..1 from two thirds on at the latest."""
    time = np.linspace(0.0, 1.0, n_frames)
    begin, end = rng.uniform(0.08, 0.18), rng.uniform(0.45, 0.62)
    share = np.clip((time - begin) / (end - begin), 0.0, 1.0)
    # Smooth onset: muscles neither start nor stop abruptly.
    onset = share**2 * (3.0 - 2.0 * share)
    held = np.maximum(0.0, time - end)
    tremor = 0.04 * (1.0 - np.cos(2.0 * np.pi * rng.uniform(2.0, 5.0) * held))
    return onset * (1.0 - tremor)


def _drifting(rng: np.random.Generator, view: View, n_frames: int) -> list[View]:
    """The views of a clip: the head moves in one direction, swaying a little; every frame has its own noise."""
    turn, yaw, right, down = (rng.normal(0.0, 1.0, 4) * (3.0, 0.2, 0.012, 0.01)).tolist()
    time = np.linspace(0.0, 1.0, n_frames)
    sway = 0.12 * np.sin(2.0 * np.pi * (rng.uniform(1.0, 3.0) * time + rng.random()))
    return [
        replace(
            view,
            rotation=view.rotation + turn * way,
            yaw=view.yaw + yaw * way,
            shift_x=view.shift_x + right * way,
            shift_y=view.shift_y + down * way,
            noise_seed=view.noise_seed + number,
        )
        for number, way in enumerate((time + sway).tolist())
    ]


def _check(label: int | None) -> None:
    if label is not None and not 0 <= label < len(CLASSES):
        raise ValueError(f"label must lie in 0..{len(CLASSES) - 1}, got {label}")
