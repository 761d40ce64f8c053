"""Faces drawn for training, as the encoders see them."""

import torch
from torch import Tensor

IMAGE_SIZE = 64


def normalised(images: Tensor) -> Tensor:
    """(n, height, width, 3) uint8 to (n, 3, height, width) in 0..1, as the released code feeds its models."""
    return images.permute(0, 3, 1, 2).float() / 255


def flipped(pixels: Tensor) -> Tensor:
    """Mirror a random half of a batch."""
    chosen = torch.rand(len(pixels)) < 0.5
    return torch.where(chosen[:, None, None, None], pixels.flip(-1), pixels)
