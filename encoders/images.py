"""From an image file to the squashed square that the encoders take."""

import errno
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ..errors import ExpclipError
from .turns import take_turn

_FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""Pillow decodes these itself; it would hand some others (EPS, WMF), whatever their name, to outside programs."""

_NOT_THE_FILES_FAULT = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN}
"""Faults of the machine. A row that failed stays failed, so these must not count as failures of the file."""

MeanStd = tuple[list[float], list[float]]
"""Mean and standard deviation of each colour, in 0 … 1."""


class ImageError(Exception):
    """The file cannot be read as an image; the message says why."""


@dataclass(frozen=True)
class Squash:
    """From an image to an encoder's input: without keeping the aspect ratio, as in Exp-CLIP's released code."""

    size: int
    honour_orientation: bool
    """Whether EXIF orientation is applied first; the released code ignores it."""
    mean_std: MeanStd | None = None
    """What the encoder normalises pixels with, if it does."""

    def spec(self) -> dict:
        return {
            "size": self.size,
            "resize": "bilinear squash (Pillow)",
            "scale": "1/255",
            "exif_orientation": "honoured" if self.honour_orientation else "ignored",
            "sixteen_bit": "grey divided by 257, colour by its high byte",
            "alpha": "dropped",
            "mean_std": self.mean_std,
        }


def read_image(path: Path, honour_orientation: bool = False) -> Image.Image:
    """Open an image file as 8-bit RGB, first frame, pixels loaded; turned upright by its EXIF data if asked.

    Palette, greyscale, CMYK and transparent images are converted by Pillow (alpha is dropped); 16-bit greyscale is
    scaled to 8 bits, not clipped, and of 16-bit colour Pillow keeps the high byte. TIFF files are always upright:
    their orientation is part of how their pixels are stored. Damaged EXIF data is ignored. Raises ImageError for what
    cannot be read completely, ExpclipError where the fault is the machine's.
    """
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):  # opening a named pipe would wait forever
            raise ImageError("this is a folder" if stat.S_ISDIR(mode) else "this is not an ordinary file")
        with Image.open(path, formats=_FORMATS) as image:
            take_turn(*image.size)
            image.load()
            return _to_rgb(_upright(image) if honour_orientation else image)
    except (ImageError, MemoryError):
        raise
    except (FileNotFoundError, NotADirectoryError):
        raise ImageError("the file is missing") from None
    except Image.UnidentifiedImageError:
        raise ImageError("this is no image" if path.stat().st_size else "the file is empty") from None
    except Image.DecompressionBombError:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise ImageError(f"images of more than {limit:,} pixels are refused: save it smaller") from None
    except OSError as error:
        raise_if_machine_error(path, error)
        raise ImageError(f"the file cannot be read completely ({error.strerror or error})") from error
    except Exception as error:  # decoders raise almost anything on broken files
        raise ImageError(f"the file is damaged ({error or type(error).__name__})") from error


def raise_if_machine_error(path: Path, error: OSError) -> None:
    """Raise ExpclipError where an error is the machine's fault: reading the same file later may succeed."""
    if error.errno in _NOT_THE_FILES_FAULT:
        raise ExpclipError(f"{path}: {error.strerror}: resolve this and run the command again") from error


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF data says nothing about the orientation, and the pixels are sound
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ImageError("a floating-point image has no agreed brightness: save it with 8 or 16 bits")
    if not image.mode.startswith("I"):
        return image.convert("RGB")
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise ImageError("integer pixels beyond 16 bits have no agreed brightness: save it with 8 or 16 bits")
    eight_bit = np.round(values / 257).astype(np.uint8)  # 65535 / 255: the same brightness in 8 bits
    return Image.fromarray(eight_bit).convert("RGB")


def squash(image: Image.Image, size: int) -> np.ndarray:
    """(size, size, 3) uint8 pixels of an RGB image."""
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))
