"""What an image file becomes in the process that decodes it; that process loads nothing that this does not need."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..encoders.images import fitted
from ..encoders.picture_errors import ImageError
from ..encoders.pictures import Picture, read_pictures
from ..encoders.squash import Fit
from ..manifests.animations import is_animated

_PREVIEW = 1024
"""Pixels on a side, of a picture that is only looked at."""

Decoded = dict[Fit, np.ndarray] | ImageError
"""Pixels by how they fit, or what is wrong with the image."""


@dataclass(frozen=True)
class DecodedFile:
    """What the rows of one file hold."""

    by_row: Mapping[int, Decoded]
    is_first_frame: bool
    """Whether the file holds several pictures, of which a still image is only the first."""


def decode_file(
    path: Path, row_of: Mapping[int, int], fits: Sequence[Fit], upright: bool, max_pixels: int, is_clip: bool
) -> DecodedFile:
    """What the rows of one file hold, from the rows by frame number."""
    pictures = read_pictures(path, list(row_of), upright, max_pixels, is_clip)
    by_row = {row_of[frame]: _fitted(one, fits) for frame, one in pictures}
    return DecodedFile(by_row, not is_clip and is_animated(path))


def _fitted(picture: Picture, fits: Sequence[Fit]) -> Decoded:
    return picture if isinstance(picture, ImageError) else {fit: fitted(picture, fit) for fit in fits}


def preview(path: Path, frame: int, is_clip: bool) -> np.ndarray | None:
    """(height, width, 3) uint8 pixels of one picture of a file, smaller where it is large; None where it is lost."""
    ((_, picture),) = read_pictures(path, [frame], is_clip=is_clip)
    if isinstance(picture, ImageError):
        return None
    picture.thumbnail((_PREVIEW, _PREVIEW))
    return np.asarray(picture)
