"""The pictures of a file: one of a still image, many of a video or of a table of pixels."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from ..manifests.disk import holds_many, is_video_name
from .images import ImageError, read_image
from .pixel_table import read_pixel_rows
from .video_frames import read_video

Picture = Image.Image | ImageError
"""8-bit RGB, or why it cannot be read."""


def read_pictures(
    path: Path, frames: Sequence[int], honour_orientation: bool = False
) -> Iterator[tuple[int, Picture]]:
    """The pictures of a file with some frame numbers, each as (frame number, picture), in any order.

    A file is opened once for all of them. A still image is its only picture, whatever its number in a clip. Raises
    ExpclipError where the fault is the machine's, or where PyAV, which videos need, is not installed.
    """
    if holds_many(path.name):
        yield from (read_video if is_video_name(path.name) else read_pixel_rows)(path, frames)
        return
    for frame in frames:
        try:
            yield frame, read_image(path, honour_orientation)
        except ImageError as error:
            yield frame, error
