"""Faces drawn for training, as the encoders see them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from joblib import Parallel, delayed
from PIL import Image
from torch import Tensor

from ..encoders.images import squash
from ..manifests.faces.sampling import Face, sample_face

IMAGE_SIZE = 64
_BATCH = 250


@dataclass(frozen=True)
class Drawn:
    """Faces and their pictures."""

    faces: list[Face]
    images: Tensor
    """(n, 64, 64, 3) uint8."""


def draw(seed: int, count: int) -> Drawn:
    """The first faces of a series: half of them expressions, half any combination of actions."""
    return Drawn([sample_face(seed, index) for index in range(count)], torch.from_numpy(draw_pictures(seed, count)))


def draw_pictures(seed: int, count: int, classes: int | None = None) -> np.ndarray:
    """Draw the first faces of a series on all cores, (count, 64, 64, 3) uint8; with `classes`, these take turns."""
    starts = range(0, count, _BATCH)
    parts = Parallel(n_jobs=-1)(delayed(_draw)(seed, range(k, min(k + _BATCH, count)), classes) for k in starts)
    return np.concatenate(list(parts))


def _draw(seed: int, indices: range, classes: int | None) -> np.ndarray:
    faces = (sample_face(seed, index, index % classes if classes else None) for index in indices)
    return np.stack([squash(Image.fromarray(face.draw()), IMAGE_SIZE) for face in faces])


def planes(images: Tensor) -> Tensor:
    """(n, height, width, 3) uint8 to (n, 3, height, width) in 0..1, as the released code feeds its models."""
    return images.permute(0, 3, 1, 2).float() / 255


def flipped(pixels: Tensor) -> Tensor:
    """Mirror a random half of a batch."""
    chosen = torch.rand(len(pixels)) < 0.5
    return torch.where(chosen[:, None, None, None], pixels.flip(-1), pixels)


@torch.no_grad()
def seen_by(tower: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """What a vision tower gives for (n, height, width, 3) images, a part at a time."""
    return torch.cat([tower(planes(part)) for part in images.split(500)])
