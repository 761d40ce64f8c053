"""Whether a picture is in its file as a whole. What decoders leave out without a word would be black or grey."""

from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageFile

from .jpeg_scans import refuse_grey_end, refuse_missing_scans
from .picture_errors import ImageError, IncompleteError
from .png_chunks import whole_pictures

_UNWRITTEN: dict[str, Any] = {
    "1": 255,
    "L": 90,
    "P": 90,
    "I;16": 23131,
    "LA": (90, 1),
    "RGB": (90, 1, 200),
    "RGBA": (90, 1, 200, 77),
}
"""By mode, what a picture is filled with before it is decoded: rows of nothing else were never written, perhaps."""

_WIDTH, _LENGTH, _ROWS, _SAMPLES, _PLANES = 256, 257, 278, 277, 284
_STRIPS, _STRIP_BYTES, _TILE_WIDTH, _TILE_LENGTH, _TILES, _TILE_BYTES = 273, 279, 322, 323, 324, 325
_PIXEL_TAGS = {_WIDTH, _LENGTH, 258, 259, 262, 266, _STRIPS, 274, _SAMPLES, _ROWS, _STRIP_BYTES, _PLANES, 317, 320}
_PIXEL_TAGS |= {_TILE_WIDTH, _TILE_LENGTH, _TILES, _TILE_BYTES, 332, 338, 339, 347, 529, 530, 532}
"""The tags of a TIFF that say what its pixels are."""
_SMALL_TILE = 2**20


def refuse_gaps(image: ImageFile.ImageFile, file: BinaryIO) -> None:
    """Raise IncompleteError where the headers of a picture that was opened say that parts of it are not in the file.

    Raises ImageError where decoding would need much more memory than its pixels do.
    """
    if image.format in _BEFORE:
        _BEFORE[image.format](image, file)


def decode(image: ImageFile.ImageFile, file: BinaryIO) -> None:
    """Load the pixels of a picture that was opened. Raises IncompleteError where some of them are not in the file."""
    is_png = image.format == "PNG" and image.mode in _UNWRITTEN
    if is_png:
        image.im = Image.new(image.mode, image.size, _UNWRITTEN[image.mode]).im
    image.load()
    if image.format in ("JPEG", "MPO"):
        refuse_grey_end(image, file)
    elif is_png and _has_unwritten_rows(image) and not whole_pictures(file):
        raise IncompleteError("the picture ends before its last rows: the file holds no more")


def decode_frame(image: ImageFile.ImageFile, file: BinaryIO, number: int) -> Image.Image:
    """The pixels of another than the first picture of a file, or the first of them, to which it was sought.

    Raises IncompleteError where some of them are not in the file; those of a PNG are counted by `whole_pictures`.
    """
    if number and image.format in ("TIFF", "MPO"):
        _BEFORE[image.format](image, file)
    frame = image.copy()
    if image.format == "MPO":
        refuse_grey_end(image, file)
    return frame


def _has_unwritten_rows(image: Image.Image) -> bool:
    """Whether one of the last two rows, which are of different passes in an interlaced picture, may be."""
    width, height = image.size
    ends = [image.getpixel((width - 1, y)) for y in range(max(0, height - 2), height)]
    if _UNWRITTEN[image.mode] not in ends:
        return False
    rows = np.asarray(image.crop((0, max(0, height - 2), width, height)))
    is_unwritten = rows == np.asarray(_UNWRITTEN[image.mode]).astype(rows.dtype)
    return bool(is_unwritten.reshape(len(rows), -1).all(axis=1).any())


def _refuse_partial_frame(image: ImageFile.ImageFile, file: BinaryIO) -> None:
    """The first frame covers the picture, or what is beside it is transparent."""
    left, top, right, bottom = image.tile[0][1] or (0, 0, *image.size)
    if (right - left, bottom - top) != image.size and "transparency" not in image.info:
        raise IncompleteError(
            f"its first frame has only {right - left:,} × {bottom - top:,} pixels, the picture {image.width:,} × "
            f"{image.height:,}"
        )


def _refuse_missing_strips(image: ImageFile.ImageFile, file: BinaryIO) -> None:
    tags: Any = image.tag_v2  # pyright: ignore[reportAttributeAccessIssue]
    if lost := (_declared(file, image.tell()) & _PIXEL_TAGS) - set(tags):
        raise IncompleteError(f"what says how its pixels are stored is missing in the file (tag {min(lost)})")
    width, length = tags[_WIDTH], tags[_LENGTH]
    across, down = width, min(tags.get(_ROWS, length), length)
    where, counts = _STRIPS, _STRIP_BYTES
    if _TILES in tags and _STRIPS not in tags:
        across, down, where, counts = tags[_TILE_WIDTH], tags[_TILE_LENGTH], _TILES, _TILE_BYTES
        if across * down > 4 * width * length + _SMALL_TILE:
            raise ImageError(f"its tiles, of {across:,} × {down:,} pixels, are larger than the picture: save it anew")
    parts = -(-width // max(across, 1)) * -(-length // max(down, 1))
    parts *= tags.get(_SAMPLES, 1) if tags.get(_PLANES) == 2 else 1
    places, sizes = tags.get(where, ()), tags.get(counts, ())
    if len(places) < parts or 0 in places[:parts] or 0 in sizes[:parts]:
        raise IncompleteError("parts of the picture are missing in the file: it has too few strips or tiles")


def _declared(file: BinaryIO, page: int) -> set[int]:
    """The tags that the directory of a TIFF's page has, whether or not their values can be read."""
    file.seek(0)
    order = "little" if file.read(2) == b"II" else "big"

    def number(length: int) -> int:
        return int.from_bytes(file.read(length), order)  # pyright: ignore[reportArgumentType]

    is_big = number(2) == 43
    wide, narrow, entry = (8, 8, 20) if is_big else (4, 2, 12)
    file.seek(8 if is_big else 4)
    for _ in range(page):
        file.seek(number(wide))
        file.seek(number(narrow) * entry, 1)
    file.seek(number(wide))
    tags = set()
    for _ in range(min(number(narrow), 2**16)):
        tags.add(number(2))
        file.seek(entry - 2, 1)
    return tags


_BEFORE: dict[str, Callable[[ImageFile.ImageFile, BinaryIO], None]] = {
    "GIF": _refuse_partial_frame,
    "PNG": _refuse_partial_frame,
    "TIFF": _refuse_missing_strips,
    "JPEG": refuse_missing_scans,
    "MPO": refuse_missing_scans,
}
