"""`expclip crop`: faces from whole images."""

import hashlib
import io
import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from ...aside import sweep
from ...cache.files import new_file, printable, writing
from ...cache.run_note import OUT
from ...commands.crop import CROPPED, Crop, CropFaces, Cropped
from ...encoders.detectors import detector
from ...encoders.images import ImageError, read_image
from ...errors import UsageError, option
from ...manifests.boxes import CHOICES, BoxList, Face, read_boxes
from ...manifests.disk import kind_of, walk
from ...manifests.limits import max_pixels
from ...manifests.manifest import size_of
from ...pipeline.apart import Crew, Died
from ...pipeline.checks import refuse_folder
from ...pipeline.progress import counted
from ...reports.console import stderr
from .plausible import implausible
from .record import (
    NO_FACE,
    OUTSIDE,
    RECORD,
    SMALL,
    UNREADABLE,
    add_line,
    open_record,
    open_settings,
    read_record,
    write_record,
)

_FEWEST_PIXELS = 8
"""On a side: of fewer nobody sees an expression, and most often the list is of other images."""
_JPEG = {"quality": 95, "subsampling": 0}
"""As little loss as is usual: the scene was compressed once already."""


def crop(request: CropFaces) -> Cropped:
    """Cut one face out of every image below `source`, and save it under the same relative path below `out`.

    Images are turned upright first. Where no face is found there is no crop: nothing is guessed. `crops.csv` in `out`
    has a line for each image; one that has a line and a crop is not done again, and an image that could not be read
    is tried again. Raises UsageError where `out` was begun with other settings, or is `source` or inside of it.
    """
    refuse_folder(request.out)
    images, remarks = _images(request.source, request.out)
    boxes = read_boxes(request.boxes) if request.boxes is not None else None
    if boxes is not None and request.boxes is not None:
        remarks += _boxes_without_image(boxes, images, request)
        remarks += implausible(boxes, request, _workers(request), images)
    else:
        detector(request.detects_with)
    open_settings(request.out, _settings(request))
    sizes = {path: size_of(request.source, path) for path in images}
    record = read_record(request.out)
    done = {path: one for path, one in record.items() if _is_done(one, sizes.get(path), request.out)}
    missing = [path for path in images if path not in done]
    if missing:
        write_record(request.out, done.values())
        done |= _crop_missing(request, boxes, sizes, missing)
    return Cropped(tuple(done[path] for path in images), len(missing), tuple(remarks))


def _images(source: Path, out: Path) -> tuple[list[str], list[str]]:
    """Paths of the images below a folder, and remarks."""
    if kind_of(source) != "folder":
        raise UsageError(f"{source}: there is no such folder: give the one that holds the images")
    if out.resolve().is_relative_to(source.resolve()):
        raise UsageError(
            f"{option('out')} {out}: this lies in {source}, where crops would be taken for images: choose another"
        )
    images, remarks = walk(source)
    if not images:
        raise UsageError(f"{source}: there are no images here: choose the folder that holds them")
    return images, remarks


def _boxes_without_image(boxes: BoxList, images: Sequence[str], request: CropFaces) -> list[str]:
    source = request.source
    lost = sorted(boxes.faces.keys() - set(images))
    if len(lost) == len(boxes.faces):
        raise UsageError(
            f"{request.boxes}: none of its {len(boxes.faces):,} images lies in {source} (the list has {lost[0]}, the "
            f"folder {images[0]}): give the folder to which the list's paths are relative"
        )
    return [f"{len(lost):,} images of {request.boxes} are not in {source} (first: {lost[0]})"] if lost else []


def _settings(request: CropFaces) -> dict[str, object]:
    """What may not change within one folder of crops; a list of boxes is its content."""
    boxes = hashlib.sha256(request.boxes.read_bytes()).hexdigest()[:16] if request.boxes is not None else None
    return {
        "source": printable(str(request.source.absolute())),
        "detector": request.detects_with or None,
        "boxes (SHA-256)": boxes,
        "margin": request.margin,
        "face": request.face,
    }


def _is_done(crop: Crop, size: int | None, out: Path) -> bool:
    """Whether an image need not be looked at again; `size` is None for one that is there no more."""
    if crop.outcome == UNREADABLE or size not in (None, crop.bytes):
        return False
    return crop.outcome != CROPPED or size_of(out, crop.path) > 0


def _crop_missing(
    request: CropFaces, boxes: BoxList | None, sizes: dict[str, int], paths: Sequence[str]
) -> dict[str, Crop]:
    """Crop images in several processes (dlib lets no other thread run), and note each as it is done."""
    out = request.out
    calls = ((request, path, sizes[path], *_listed(boxes, path)) for path in paths)
    crops: dict[str, Crop] = {}
    for folder in {(out / path).parent for path in paths}:
        sweep(folder)
    with (
        writing(out / RECORD, OUT),
        open_record(out) as record,
        counted("cropping", "images", stderr()) as show,
        Crew(crop_image, _workers(request)) as crew,
    ):
        found = zip(paths, crew.map(calls), strict=True)
        for number, (path, one) in enumerate(found, 1):
            if isinstance(one, Died):
                one = Crop(path, sizes[path], UNREADABLE, why=one.of("cropping"))
            if one.outcome != CROPPED:  # what is there is of an earlier image
                (out / path).unlink(missing_ok=True)
            add_line(record, one)
            crops[path] = one
            show(number, len(paths))
    return crops


def _workers(request: CropFaces) -> int:
    """How many processes read images."""
    return (os.cpu_count() or 1) if request.workers is None else request.workers


def _listed(boxes: BoxList | None, path: str) -> tuple[Sequence[Face] | None, bool]:
    """The boxes that a list has of an image, None without a list, and whether they are shares of its size."""
    return (None, False) if boxes is None else (boxes.faces.get(path, []), boxes.is_relative)


def crop_image(
    request: CropFaces, path: str, size: int, faces: Sequence[Face] | None, are_shares: bool = False
) -> Crop:
    """Crop one image. `faces` are those of a list, in pixels or shares of its size; None asks the detector."""
    try:
        image = read_image(request.source / path, True, max_pixels(request.max_megapixels))
    except ImageError as error:
        return Crop(path, size, UNREADABLE, why=str(error))
    if faces is None:
        faces = detector(request.detects_with)(image)
    if not faces:
        why = f"{request.detects_with} finds no face" if request.detects_with else "the list has no box for it"
        return Crop(path, size, NO_FACE, why=why)
    faces = [face.scaled(*image.size) for face in faces] if are_shares else faces
    inside = [face for face in faces if face.inside(*image.size)]
    if not inside:
        why = f"the box has no pixel of the image, which is {image.width} × {image.height}"
        return Crop(path, size, OUTSIDE, len(faces), faces[0], why)
    face = CHOICES[request.face](inside, *image.size)
    cut = image.crop(face.inside(*image.size, request.margin))
    if min(cut.size) < _FEWEST_PIXELS:
        why = f"the box has only {cut.width} × {cut.height} pixels of the image, of {image.width} × {image.height}"
        return Crop(path, size, SMALL, len(faces), face, why)
    _save(cut, request.out / path)
    return Crop(path, size, CROPPED, len(faces), face)


def _save(image: Image.Image, path: Path) -> None:
    """Write an image in the format that its name says, whole or not at all."""
    file_format = Image.registered_extensions()[path.suffix.lower()]
    options = {"JPEG": _JPEG, "WEBP": {"lossless": True}}.get(file_format, {})
    picture = io.BytesIO()  # Pillow takes a file for written of which the disk took only a part
    image.save(picture, file_format, **options)
    with new_file(path, OUT, clears=False) as temporary:
        temporary.write_bytes(picture.getbuffer())
