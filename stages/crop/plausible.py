"""Whether the boxes of a list can be meant as they are read, by the sizes of some of the images."""

from collections.abc import Sequence
from pathlib import Path

from ...encoders.images import ImageError, read_image
from ...errors import UsageError
from ...manifests.boxes import BoxList, Face

_TRIED = 50
"""Images that are looked at."""


def implausible(boxes: BoxList, path: Path, source: Path, images: Sequence[str]) -> list[str]:
    """Remarks on a list whose boxes are shares, or lie beside their images.

    Raises UsageError where most lie outside as they are read, and inside if width and height were a corner, or a
    corner width and height.
    """
    listed = [image for image in images if image in boxes.faces]
    faces = [pair for image in listed[:: max(1, len(listed) // _TRIED)] for pair in _sized(boxes, source, image)]
    lost = [pair for pair in faces if pair[0].share_inside(*pair[1]) < 0.5]
    if len(lost) > len(faces) / 2:
        otherwise = [boxes.read_otherwise(face).share_inside(*size) for face, size in lost]
        read, meant = ("x y w h", "x0 y0 x1 y1") if boxes.has_sizes else ("x0 y0 x1 y1", "x y w h")
        if sum(share >= 0.5 for share in otherwise) > len(lost) / 2:
            raise UsageError(
                f"{path}: read as {read}, most boxes lie outside of their images, and read as {meant} inside: "
                f"name the columns in its first line: `path {meant}`, with its own separator"
            )
    remarks = []
    if boxes.is_relative:
        remarks.append(f"{path}: all boxes lie in 0 … 1: they were read as shares of the images' width and height")
    if lost:
        remarks.append(
            f"{path}: of {len(faces):,} boxes that were looked at, {len(lost):,} lie mostly outside of their images: "
            f"were these resized since?"
        )
    return remarks


def _sized(boxes: BoxList, source: Path, image: str) -> list[tuple[Face, tuple[int, int]]]:
    """The boxes of an image with its size in their unit; none where it cannot be read, which is said elsewhere."""
    try:
        size = (1, 1) if boxes.is_relative else read_image(source / image, honour_orientation=True).size
    except ImageError:
        return []
    return [(face, size) for face in boxes.faces[image] if (face.x0, face.y0, face.x1, face.y1) != (0, 0, 0, 0)]
