"""What an image file becomes in the process that decodes it; that process loads nothing that this does not need."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..encoders.images import squash
from ..encoders.picture_errors import ImageError
from ..encoders.pictures import Picture, read_pictures

Decoded = dict[int, np.ndarray] | ImageError
"""Pixels by side length, or what is wrong with the image."""


def decode_file(
    path: Path, row_of: Mapping[int, int], sizes: Sequence[int], upright: bool, max_pixels: int, is_clip: bool
) -> dict[int, Decoded]:
    """What the rows of one file hold, by row number, from the rows by frame number."""
    pictures = read_pictures(path, list(row_of), upright, max_pixels, is_clip)
    return {row_of[frame]: _squashed(one, sizes) for frame, one in pictures}


def _squashed(picture: Picture, sizes: Sequence[int]) -> Decoded:
    return picture if isinstance(picture, ImageError) else {size: squash(picture, size) for size in sizes}
