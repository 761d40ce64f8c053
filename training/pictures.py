"""Faces drawn for training, as the encoders see them."""

from dataclasses import dataclass

import numpy as np
import torch
from joblib import Parallel, delayed
from PIL import Image
from torch import Tensor

from ..encoders.images import squash
from ..manifests.faces.sampling import Face, sample_face

_BATCH = 250


@dataclass(frozen=True)
class Drawn:
    """Faces and their pictures."""

    faces: list[Face]
    images: Tensor
    """(n, size, size, 3) uint8."""


def draw(seed: int, count: int, size: int) -> Drawn:
    """The first faces of a series: half of them expressions, half any combination of actions."""
    pictures = draw_pictures(seed, count, size)
    return Drawn([sample_face(seed, index) for index in range(count)], torch.from_numpy(pictures))


def draw_pictures(seed: int, count: int, size: int, classes: int | None = None) -> np.ndarray:
    """The first faces of a series, (count, size, size, 3) uint8; with `classes`, these take turns."""
    starts = range(0, count, _BATCH)
    parts = Parallel(n_jobs=-1)(delayed(_draw)(seed, range(k, min(k + _BATCH, count)), size, classes) for k in starts)
    return np.concatenate(list(parts))


def _draw(seed: int, indices: range, size: int, classes: int | None) -> np.ndarray:
    faces = (sample_face(seed, index, index % classes if classes else None) for index in indices)
    return np.stack([squash(Image.fromarray(face.draw()), size) for face in faces])


def planes(images: Tensor) -> Tensor:
    """(n, height, width, 3) uint8 to (n, 3, height, width) in 0..1, as the released code feeds its models."""
    return images.permute(0, 3, 1, 2).float() / 255


def flipped(pixels: Tensor) -> Tensor:
    """Mirror a random half of a batch."""
    chosen = torch.rand(len(pixels)) < 0.5
    return torch.where(chosen[:, None, None, None], pixels.flip(-1), pixels)
