"""Frames of a picture file that holds several, each as it is shown: what earlier ones left is below it."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageFile

from .completeness import decode_frame
from .images import to_rgb, upright
from .opening import FINAL, most_bytes, opened, reading
from .picture_errors import ImageError, IncompleteError, refuse_large
from .png_chunks import ANIMATION, whole_pictures, without_metadata

_MOST_PICTURES = 100
"""Each frame needs those before it: no more pixels than so many of the largest pictures are decoded for a clip."""


def read_animation(
    path: Path, frames: Sequence[int], honour_orientation: bool, max_pixels: int
) -> Iterator[tuple[int, Image.Image | ImageError]]:
    """Some frames of a picture file, as (frame, RGB picture or what is wrong), in order.

    Of a PNG the picture that is shown where nothing moves is no frame, unless it is the first one.
    """
    waiting = sorted(set(frames))
    try:
        with reading(path, max_pixels) as file:
            try:
                yield from _frames(file, waiting, honour_orientation, max_pixels)
            except FINAL:
                raise
            except Exception:
                bare = without_metadata(file, most_bytes(max_pixels), ANIMATION)
                if bare is None:
                    raise
                yield from _frames(bare, waiting, honour_orientation, max_pixels)
    except ImageError as error:
        yield from ((frame, error) for frame in waiting)


def _frames(
    file: BinaryIO, waiting: list[int], honour_orientation: bool, max_pixels: int
) -> Iterator[tuple[int, Image.Image]]:
    """The frames that wait, in order; those that were given wait no more."""
    with opened(file, max_pixels) as image:
        first = int(image.format == "PNG" and bool(image.info.get("default_image")))
        whole = _whole(image, file, first + waiting[-1] + 1, max_pixels)
        while waiting:
            if (waiting[0] + 1) * image.width * image.height > _MOST_PICTURES * max_pixels:
                raise ImageError("so many frames of this size are not decoded for one of them: save it as a video")
            picture = _frame(image, file, first + waiting[0], max_pixels)
            if first + waiting[0] >= whole:
                raise IncompleteError("the frame, or one that it is shown over, ends before its last rows")
            picture = to_rgb(upright(picture) if honour_orientation else picture)
            yield waiting.pop(0), picture


def _frame(image: ImageFile.ImageFile, file: BinaryIO, number: int, max_pixels: int) -> Image.Image:
    try:
        image.seek(number)
    except EOFError:
        raise ImageError(f"the file has only {image.tell() + 1:,} frames that can be read") from None
    refuse_large(image.size, max_pixels)
    return decode_frame(image, file, number)


def _whole(image: ImageFile.ImageFile, file: BinaryIO, most: int, max_pixels: int) -> float:
    """How many frames of a PNG have all of their rows; decoders of others say where one has not."""
    if image.format != "PNG":
        return math.inf
    at = file.tell()
    count = whole_pictures(file, min(most, _MOST_PICTURES * max_pixels // (image.width * image.height) + 1))
    file.seek(at)  # where the decoder goes on
    return count
