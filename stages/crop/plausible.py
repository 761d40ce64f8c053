"""Whether the boxes of a list can be meant as they are read, by the sizes of some of the images."""

from collections.abc import Sequence
from pathlib import Path

from ...commands.crop import CropFaces
from ...encoders.images import ImageError, read_image
from ...errors import UsageError
from ...manifests.boxes import BoxList
from ...manifests.limits import max_pixels
from ...pipeline.apart import Crew

_TRIED = 50
"""Images that are looked at."""


def implausible(boxes: BoxList, request: CropFaces, workers: int, images: Sequence[str]) -> list[str]:
    """Remarks on a list whose boxes are shares, or lie beside their images, of which processes look at some.

    Raises UsageError where most lie outside as they are read, and inside if width and height were a corner, or a
    corner width and height.
    """
    path = request.boxes
    listed = [image for image in images if image in boxes.faces]
    some = listed[:: max(1, len(listed) // _TRIED)]
    sizes = dict.fromkeys(some, (1, 1)) if boxes.is_relative else _sizes(some, request, workers)
    faces = [(face, sizes[image]) for image in sizes for face in boxes.faces[image] if face.corners != (0, 0, 0, 0)]
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


def _sizes(images: Sequence[str], request: CropFaces, workers: int) -> dict[str, tuple[int, int]]:
    """Width and height of images, without those that cannot be read, which is said elsewhere."""
    limit = max_pixels(request.max_megapixels)
    with Crew(upright_size, workers) as crew:
        found = crew.map((request.source / image, limit) for image in images)
        return {image: size for image, size in zip(images, found, strict=True) if isinstance(size, tuple)}


def upright_size(path: Path, limit: int) -> tuple[int, int] | None:
    """Width and height of an image as it is shown; None where it cannot be read."""
    try:
        return read_image(path, True, limit).size
    except ImageError:
        return None
