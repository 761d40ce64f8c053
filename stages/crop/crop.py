"""`expclip crop`: faces from whole images."""

import hashlib
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

from ...aside import sweep
from ...cache.files import new_file, printable, writing
from ...cache.run_note import OUT
from ...commands.crop import ALL, CROPPED, VIDEO, Crop, CropFaces, Cropped
from ...encoders.detectors import detector
from ...encoders.images import read_image
from ...encoders.picture_errors import ImageError
from ...encoders.video_frames import read_video
from ...errors import UsageError, option
from ...manifests.boxes import CHOICES, BoxList, Face, largest, read_boxes
from ...manifests.disk import is_video_name, kind_of, walk
from ...manifests.limits import max_pixels
from ...manifests.manifest import size_of
from ...manifests.videos import VideoError, index_video
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
    add_lines,
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
    """Cut faces out of every image, and of every frame of the videos, below `source`, and save them below `out`.

    Images are turned upright first. Where no face is found there is no crop: nothing is guessed. `crops.csv` in `out`
    has a line for each image; one that has a line and a crop is not done again, and an image that could not be read
    is tried again. Raises UsageError where `out` was begun with other settings, or is `source` or inside of it.
    """
    refuse_folder(request.out)
    videos = request.boxes is None and find_spec("av") is not None  # else they are left out, which is said
    return crop_files(request, *_files(request.source, request.out, videos))


def crop_files(request: CropFaces, files: Sequence[str], remarks: Sequence[str] = ()) -> Cropped:
    """The same for some of the files, by their paths below `source`."""
    boxes, remarks = None, list(remarks)
    if request.boxes is not None:
        boxes = read_boxes(request.boxes)
        remarks += _boxes_without_image(boxes, files, request)
        remarks += implausible(boxes, request, _workers(request), files)
    else:
        detector(request.detects_with)
    open_settings(request.out, _settings(request))
    sizes = {path: size_of(request.source, path) for path in files}
    record = read_record(request.out)
    done = {path: some for path, some in record.items() if _is_done(some, sizes.get(path), request.out)}
    missing = [path for path in files if path not in done]
    if missing:
        has_more = request.face == ALL or any(map(is_video_name, [*files, *done]))
        write_record(request.out, (one for some in done.values() for one in some), has_more)
        done |= _crop_missing(request, boxes, sizes, missing, record, has_more)
    every = (one for path in files for one in done[path] if one.outcome != VIDEO)
    return Cropped(tuple(every), len(missing), tuple(remarks))


def _files(source: Path, out: Path, videos: bool) -> tuple[list[str], list[str]]:
    """Paths of the images below a folder, and of videos if they are wanted, and remarks."""
    if kind_of(source) != "folder":
        raise UsageError(f"{source}: there is no such folder: give the one that holds the images")
    if out.resolve().is_relative_to(source.resolve()):
        raise UsageError(
            f"{option('out')} {out}: this lies in {source}, where crops would be taken for images: choose another"
        )
    images, remarks = walk(source, videos=videos)
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


def _is_done(crops: Sequence[Crop], size: int | None, out: Path) -> bool:
    """Whether a file need not be looked at again; `size` is None for one that is there no more.

    Of a video the last line says that all of it was looked at.
    """
    outcomes = {one.outcome for one in crops}
    if any(size not in (None, one.bytes) for one in crops):
        return False
    if VIDEO not in outcomes and (UNREADABLE in outcomes or is_video_name(crops[0].path)):
        return False
    return all(one.outcome != CROPPED or size_of(out, one.cut) > 0 for one in crops)


def _crop_missing(
    request: CropFaces,
    boxes: BoxList | None,
    sizes: dict[str, int],
    paths: Sequence[str],
    before: Mapping[str, Sequence[Crop]],
    has_more: bool,
) -> dict[str, list[Crop]]:
    """Crop files in several processes (dlib lets no other thread run), and note each as it is done."""
    out = request.out
    calls = ((request, path, sizes[path], *_listed(boxes, path)) for path in paths)
    crops: dict[str, list[Crop]] = {}
    for folder in {(out / path).parent for path in paths}:
        sweep(folder)
    with (
        writing(out / RECORD, OUT),
        open_record(out) as record,
        counted("cropping", "files", stderr()) as show,
        Crew(crop_file, _workers(request)) as crew,
    ):
        found = zip(paths, crew.map(calls), strict=True)
        for number, (path, some) in enumerate(found, 1):
            if isinstance(some, Died):
                some = [Crop(path, sizes[path], UNREADABLE, why=some.of("cropping"))]
            fresh = {one.cut for one in some if one.outcome == CROPPED}
            for stale in {one.cut for one in (*some, *before.get(path, ()))} - fresh:  # of an earlier image
                (out / stale).unlink(missing_ok=True)
            add_lines(record, some, has_more)
            crops[path] = some
            show(number, len(paths))
    return crops


def _workers(request: CropFaces) -> int:
    """How many processes read images."""
    return (os.cpu_count() or 1) if request.workers is None else request.workers


def _listed(boxes: BoxList | None, path: str) -> tuple[Sequence[Face] | None, bool]:
    """The boxes that a list has of an image, None without a list, and whether they are shares of its size."""
    return (None, False) if boxes is None else (boxes.faces.get(path, []), boxes.is_relative)


def crop_file(
    request: CropFaces, path: str, size: int, faces: Sequence[Face] | None, are_shares: bool = False
) -> list[Crop]:
    """Crop one file. `faces` are those of a list, in pixels or shares of its size; None asks the detector."""
    limit = max_pixels(request.max_megapixels)
    if is_video_name(path):
        return list(_crop_video(request, path, size, limit))
    try:
        image = read_image(request.source / path, True, limit)
    except ImageError as error:
        return [Crop(path, size, UNREADABLE, why=str(error))]
    if faces is not None and are_shares:
        faces = [face.scaled(*image.size) for face in faces]
    return list(_crop_picture(request, image, Crop(path, size, CROPPED), faces))


def _crop_video(request: CropFaces, path: str, size: int, limit: int) -> Iterator[Crop]:
    """A line for each frame, and one for all of it."""
    of_one = replace(request, face="largest") if request.face == ALL else request
    try:
        count = index_video(request.source / path).count
    except (VideoError, OSError) as error:
        yield Crop(path, size, UNREADABLE, why=str(error))
        return
    cropped = 0
    for frame, picture in read_video(request.source / path, range(count), limit):
        known = Crop(path, size, UNREADABLE, frame=frame)
        if isinstance(picture, ImageError):
            yield replace(known, why=str(picture))
            continue
        for one in _crop_picture(of_one, picture, known, None):
            cropped += one.outcome == CROPPED
            yield one
    yield Crop(path, size, VIDEO, cropped)


def _crop_picture(
    request: CropFaces, image: Image.Image, known: Crop, faces: Sequence[Face] | None
) -> Iterator[Crop]:
    """A line for the face that is wanted, or for each of all; `known` is what a line says in any case."""
    faces = detector(request.detects_with)(image) if faces is None else faces
    known = replace(known, n_faces=len(faces))
    if not faces:
        why = f"{request.detects_with} finds no face" if request.detects_with else "the list has no box for it"
        yield replace(known, outcome=NO_FACE, why=why)
        return
    inside = [face for face in faces if face.inside(*image.size)]
    if not inside:
        why = f"the box has no pixel of the image, which is {image.width} × {image.height}"
        yield replace(known, outcome=OUTSIDE, face=faces[0], why=why)
    elif request.face == ALL:
        for number in range(1, len(inside) + 1):
            face = largest(inside, *image.size)
            inside.remove(face)
            yield _cut(request, image, replace(known, face=face, number=number))
    else:
        yield _cut(request, image, replace(known, face=CHOICES[request.face](inside, *image.size)))


def _cut(request: CropFaces, image: Image.Image, crop: Crop) -> Crop:
    """Save the face of a crop; returns what became of it."""
    assert crop.face is not None
    cut = image.crop(crop.face.inside(*image.size, request.margin))
    if min(cut.size) < _FEWEST_PIXELS:
        why = f"the box has only {cut.width} × {cut.height} pixels of the image, of {image.width} × {image.height}"
        return replace(crop, outcome=SMALL, why=why)
    found = replace(crop, outcome=CROPPED)
    _save(cut, request.out / found.cut)
    return found


def _save(image: Image.Image, path: Path) -> None:
    """Write an image in the format that its name says, whole or not at all."""
    file_format = Image.registered_extensions()[path.suffix.lower()]
    options = {"JPEG": _JPEG, "WEBP": {"lossless": True}}.get(file_format, {})
    picture = io.BytesIO()  # Pillow takes a file for written of which the disk took only a part
    image.save(picture, file_format, **options)
    with new_file(path, OUT, clears=False) as temporary:
        temporary.write_bytes(picture.getbuffer())
