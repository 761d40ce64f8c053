"""The pictures of a file: one of a still image, many of a video or of a table of pixels."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from ..manifests.disk import holds_many, is_video_name
from ..manifests.limits import MAX_PIXELS
from .animated_frames import read_animation
from .images import read_image
from .picture_errors import ImageError
from .pixel_table import read_pixel_rows
from .video_frames import read_video

Picture = Image.Image | ImageError
"""8-bit RGB, or why it cannot be read."""


def read_pictures(
    path: Path,
    frames: Sequence[int],
    honour_orientation: bool = False,
    max_pixels: int = MAX_PIXELS,
    is_clip: bool = False,
) -> Iterator[tuple[int, Picture]]:
    """The pictures of a file with some frame numbers, each as (frame number, picture), in any order.

    A file is opened once for all of them. A still image is its only picture, whatever its number in a clip, unless
    the file itself `is_clip`, as an animated one may be. Pictures of more than `max_pixels` are not decoded. Raises
    ExpclipError where the fault is the machine's, or where PyAV, which videos need, is not installed.
    """
    if is_clip:
        yield from read_animation(path, frames, honour_orientation, max_pixels)
    elif is_video_name(path.name):
        yield from read_video(path, frames, max_pixels)
    elif holds_many(path.name):
        yield from read_pixel_rows(path, frames)
    else:
        for frame in frames:
            try:
                yield frame, read_image(path, honour_orientation, max_pixels)
            except ImageError as error:
                yield frame, error
