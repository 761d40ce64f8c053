"""Opening a picture of any format: within bounds, and with one line for what is wrong with its file."""

import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageFile, features

from ..errors import reason
from ..manifests.stand_ins import HEAD, stand_in
from .completeness import refuse_gaps
from .picture_errors import ImageError, TooLargeError, raise_if_machine_error, refuse_large
from .turns import take_turn

_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "JPEG2000", "PPM", "TIFF", "WEBP")
"""Pillow decodes these itself; it would hand some others (EPS, WMF), whatever their name, to outside programs."""
_FOREIGN = {
    "AVIF": (b"ftypavif", b"ftypavis"),
    "HEIC": (b"ftypheic", b"ftypheix", b"ftyphevc", b"ftyphevx", b"ftypheim", b"ftypmif1", b"ftypmsf1"),
    "JPEG XL": (b"JXL \r\n\x87\n",),
}
"""What follows the first four bytes of pictures that Pillow may not be able to read."""
FINAL = (ImageError, MemoryError, Image.DecompressionBombError, Image.DecompressionBombWarning)
"""What a picture without its metadata would raise too."""
_BYTES_A_PIXEL, _BYTES_BESIDE = 16, 2**25
"""No file is longer than this allows for pixels and what is noted of them: some decoders read it as a whole."""

warnings.filterwarnings("ignore", module=r"PIL\.")
# What Pillow warns of is harmless, or refused here. Catching it picture by picture would not be safe among threads.


@contextmanager
def reading(path: Path, max_pixels: int) -> Iterator[BinaryIO]:
    """An image file that is open. Raises ImageError for what is wrong with it, or is found wrong while it is read.

    Raises ExpclipError where the fault is the machine's.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # opening a named pipe would wait forever
            raise ImageError("this is a folder" if stat.S_ISDIR(status.st_mode) else "this is not an ordinary file")
        with open(path, "rb") as file:  # noqa: PTH123 - as Pillow does
            if status.st_size > most_bytes(max_pixels):
                raise TooLargeError(max_pixels)
            yield file
    except (ImageError, MemoryError):
        raise
    except (FileNotFoundError, NotADirectoryError):
        raise ImageError("the file is missing") from None
    except Image.UnidentifiedImageError:
        raise ImageError(_what_else(path)) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise TooLargeError(max_pixels) from None
    except OSError as error:
        raise_if_machine_error(path, error)
        raise ImageError(f"the file cannot be read completely ({error.strerror or reason(error)})") from error
    except Exception as error:  # decoders raise almost anything on broken files
        raise ImageError(f"the file is damaged ({reason(error)})") from error


def opened(file: BinaryIO, max_pixels: int) -> ImageFile.ImageFile:
    """The picture in a file, of which only the header was read. Raises ImageError for what that says."""
    if Image.MAX_IMAGE_PIXELS is not None and max_pixels > Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = max_pixels  # Pillow's own limit, which is one for all, never becomes lower
    ImageFile.LOAD_TRUNCATED_IMAGES = False  # some programs set it, and it makes black pictures of halves
    file.seek(0)
    refuse_large(_canvas(file.read(HEAD)), max_pixels)
    file.seek(0)
    image = Image.open(file, formats=_formats())
    refuse_large(image.size, max_pixels)
    take_turn(*image.size)
    refuse_gaps(image, file)
    return image


def most_bytes(max_pixels: int) -> int:
    """The length of the longest file that is read."""
    return _BYTES_A_PIXEL * max_pixels + _BYTES_BESIDE


@cache
def _formats() -> tuple[str, ...]:
    """What this Pillow decodes itself."""
    has_avif = "avif" in features.modules and features.check("avif")
    return (*_FORMATS, "AVIF") if has_avif else _FORMATS


def _canvas(head: bytes) -> tuple[int, int]:
    """Width and height of those pictures for which Pillow takes memory when they are opened; (0, 0) of others."""

    def number(at: int, length: int = 2) -> int:
        return int.from_bytes(head[at : at + length], "little")

    if head.startswith((b"GIF87a", b"GIF89a")):
        return number(6), number(8)
    match head[8:16] if head.startswith(b"RIFF") else b"":
        case b"WEBPVP8X":
            return number(24, 3) + 1, number(27, 3) + 1
        case b"WEBPVP8L":
            return (number(21, 4) & 0x3FFF) + 1, (number(21, 4) >> 14 & 0x3FFF) + 1
        case b"WEBPVP8 ":
            return number(26) & 0x3FFF, number(28) & 0x3FFF
    return 0, 0


def _what_else(path: Path) -> str:
    """What a file is that Pillow does not take for an image."""
    with open(path, "rb") as file:  # noqa: PTH123
        head = file.read(HEAD)
    if not head:
        return "the file is empty"
    foreign = next((name for name, marks in _FOREIGN.items() if head[4:].startswith(marks)), "")
    if foreign == "AVIF" and "AVIF" not in _formats():
        return "this Pillow cannot read AVIF: run pip install -U pillow, or save it as PNG"
    if foreign == "AVIF":
        return "the AVIF picture is damaged or not complete"
    if foreign:
        return f"Pillow cannot read {foreign}: save it as PNG or JPEG"
    return stand_in(head) or "this is no image"
