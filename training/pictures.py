"""Faces drawn for training, as the encoders see them."""

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
    """Draw the first faces of a series, on all cores: half of them expressions, half any combination of actions."""
    starts = range(0, count, _BATCH)
    parts = Parallel(n_jobs=-1)(delayed(_draw)(seed, range(k, min(k + _BATCH, count))) for k in starts)
    return Drawn([sample_face(seed, index) for index in range(count)], torch.from_numpy(np.concatenate(list(parts))))


def _draw(seed: int, indices: range) -> np.ndarray:
    return np.stack([squash(Image.fromarray(sample_face(seed, index).draw()), IMAGE_SIZE) for index in indices])


def planes(images: Tensor) -> Tensor:
    """(n, height, width, 3) uint8 to (n, 3, height, width) in 0..1, as the released code feeds its models."""
    return images.permute(0, 3, 1, 2).float() / 255


def flipped(pixels: Tensor) -> Tensor:
    """Mirror a random half of a batch."""
    chosen = torch.rand(len(pixels)) < 0.5
    return torch.where(chosen[:, None, None, None], pixels.flip(-1), pixels)
