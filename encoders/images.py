"""From an image file to the squashed square that the encoders take."""

from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

from ..manifests.limits import MAX_PIXELS
from .completeness import decode
from .opening import FINAL, most_bytes, opened, reading
from .picture_errors import ImageError
from .png_chunks import without_metadata
from .squash import Fit

_BLOCK = 2**20
"""Pixels that are scaled to 8 bits at a time."""


def read_image(path: Path, honour_orientation: bool = False, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Open an image file as 8-bit RGB, first frame, pixels loaded; turned upright by its EXIF data if asked.

    Palette, greyscale, CMYK and transparent images are converted by Pillow (alpha is dropped); 16-bit greyscale is
    scaled to 8 bits, not clipped, and of 16-bit colour Pillow keeps the high byte. TIFF files are always upright:
    their orientation is part of how their pixels are stored. Damaged EXIF data and other metadata are ignored. Raises
    ImageError for what cannot be read completely, before anything is decoded where it has more than `max_pixels`,
    and ExpclipError where the fault is the machine's.
    """
    with reading(path, max_pixels) as file:
        try:
            return _first_frame(file, honour_orientation, max_pixels)
        except FINAL:
            raise
        except Exception:
            bare = without_metadata(file, most_bytes(max_pixels))
            if bare is None:
                raise
            return _first_frame(bare, honour_orientation, max_pixels)


def _first_frame(file: BinaryIO, honour_orientation: bool, max_pixels: int) -> Image.Image:
    with opened(file, max_pixels) as image:
        decode(image, file)
        return to_rgb(upright(image) if honour_orientation else image)


def upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF data says nothing about the orientation, and the pixels are sound
        return image


def to_rgb(image: Image.Image) -> Image.Image:
    """The pixels of an image as 8-bit RGB."""
    if image.mode == "F":
        raise ImageError("a floating-point image has no agreed brightness: save it with 8 or 16 bits")
    if image.mode == "RGB":
        return image
    return (_eight_bit(image) if image.mode.startswith("I") else image).convert("RGB")


def _eight_bit(image: Image.Image) -> Image.Image:
    """Grey values of 16 bits scaled to 8: 65535 / 255 keeps the brightness."""
    scaled = np.empty((image.height, image.width), dtype=np.uint8)
    rows = max(1, _BLOCK // image.width)
    for top in range(0, image.height, rows):
        values = np.asarray(image.crop((0, top, image.width, min(top + rows, image.height))))
        if values.min() < 0 or values.max() > 65535:
            raise ImageError("integer pixels beyond 16 bits have no agreed brightness: save it with 8 or 16 bits")
        scaled[top : top + rows] = np.round(values / 257)
    return Image.fromarray(scaled)


def squash(image: Image.Image, size: int) -> np.ndarray:
    """(size, size, 3) uint8 pixels of an RGB image."""
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))


def fitted(image: Image.Image, fit: Fit) -> np.ndarray:
    """(size, size, 3) uint8 pixels of an RGB image: squashed, or the middle of it after its shorter side is resized.

    The latter rounds as torchvision does, whose transforms models are trained with.
    """
    if isinstance(fit, int):
        return squash(image, fit)
    size, resample, becomes = fit
    method = Image.Resampling[resample.upper()]
    if not becomes:
        return np.asarray(image.resize((size, size), method))
    shorter = min(image.size)
    width, height = (becomes if side == shorter else int(becomes * side / shorter) for side in image.size)
    left, top = round((width - size) / 2), round((height - size) / 2)
    resized = image.resize((width, height), method)
    return np.asarray(resized.crop((left, top, left + size, top + size)))
