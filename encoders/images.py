"""From an image file to the squashed square that the encoders take."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

_SIXTEEN_BIT_STEP = 257
"""65535 / 255: a 16-bit value divided by it is the 8-bit value of the same brightness."""


class ImageError(Exception):
    """The file is no image that can be read; the message says why."""


@dataclass(frozen=True)
class Squash:
    """Resize to a square without keeping the aspect ratio, as Exp-CLIP's released code does."""

    size: int
    honour_orientation: bool
    """Whether EXIF orientation is applied first; the released code ignores it."""

    def spec(self) -> dict:
        return {
            "size": self.size,
            "resize": "bilinear squash (Pillow)",
            "scale": "1/255",
            "exif_orientation": "honoured" if self.honour_orientation else "ignored",
            "sixteen_bit": "divided by 257",
            "alpha": "dropped",
        }


def read_image(path: Path, honour_orientation: bool = False) -> Image.Image:
    """Open an image file as 8-bit RGB, first frame, pixels loaded; turned upright by its EXIF data if asked.

    Palette, greyscale, CMYK and transparent images are converted by Pillow (alpha is dropped); 16-bit greyscale is
    scaled to 8 bits, not clipped. Raises ImageError for what cannot be read whole.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                image.load()
                return _to_rgb(ImageOps.exif_transpose(image) if honour_orientation else image)
    except FileNotFoundError:
        raise ImageError("the file is missing") from None
    except Image.UnidentifiedImageError:
        size = path.stat().st_size if path.exists() else 0
        raise ImageError("this is no image" if size else "the file is empty") from None
    except ImageError:
        raise
    except Exception as error:  # decoders raise almost anything on broken files
        raise ImageError(f"{error or type(error).__name__}") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        return _from_integers(np.asarray(image))
    if image.mode == "F":
        raise ImageError("a floating-point image has no agreed brightness: save it with 8 or 16 bits")
    return image.convert("RGB")


def _from_integers(values: np.ndarray) -> Image.Image:
    if values.min() < 0 or values.max() > 65535:
        raise ImageError("integer pixels beyond 16 bits have no agreed brightness: save it with 8 or 16 bits")
    eight_bit = np.round(values / _SIXTEEN_BIT_STEP).astype(np.uint8)
    return Image.fromarray(eight_bit).convert("RGB")


def squash(image: Image.Image, size: int) -> np.ndarray:
    """(size, size, 3) uint8 pixels of an RGB image."""
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))
