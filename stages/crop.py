"""`expclip crop`: faces from whole images."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from joblib import Parallel, delayed
from PIL import Image
from rich.console import Console
from rich.progress import Progress

from ..cache.files import new_file, printable, writing
from ..encoders.detectors import DEFAULT_DETECTOR, detector
from ..encoders.images import ImageError, read_image
from ..errors import ExpclipError, UsageError
from ..manifests.boxes import CHOICES, Face, read_boxes
from ..manifests.disk import kind_of, walk
from ..manifests.manifest import size_of
from .crop_record import (
    CROPPED,
    NO_FACE,
    OUTSIDE,
    RECORD,
    UNREADABLE,
    Appending,
    Crop,
    open_settings,
    read_record,
    write_record,
)

_JPEG = {"quality": 95, "subsampling": 0}
"""As little loss as is usual: the scene was compressed once already."""


@dataclass(frozen=True)
class Cropping:
    """How faces are found and cut out."""

    boxes: Path | None = None
    """A list of boxes; without one a detector looks for faces."""
    detector: str | None = None
    margin: float = 0.0
    """Added on each side, as a share of the box's width and height."""
    face: str = "largest"
    """Which one of several: largest or central."""

    def __post_init__(self) -> None:
        if self.boxes is not None and self.detector is not None:
            raise UsageError("--boxes and --detector: choose one of them")
        if not 0 <= self.margin <= 10:
            raise UsageError(f"--margin {self.margin}: choose a share of the box from 0 to 10, for example 0.1")
        if self.face not in CHOICES:
            raise UsageError(f"--face {self.face!r}: choose {' or '.join(CHOICES)}")

    @property
    def detects_with(self) -> str:
        """The detector's name, "" with a list of boxes."""
        return "" if self.boxes is not None else self.detector or DEFAULT_DETECTOR


@dataclass(frozen=True)
class Cropped:
    """What became of all images of a folder."""

    crops: tuple[Crop, ...]
    """In the order of their paths."""
    new: int
    """How many images were looked at in this run."""
    remarks: tuple[str, ...] = field(default=())

    @property
    def failed(self) -> tuple[Crop, ...]:
        return tuple(crop for crop in self.crops if crop.outcome != CROPPED)


def crop(
    source: Path, out: Path, how: Cropping | None = None, workers: int | None = None, console: Console | None = None
) -> Cropped:
    """Cut one face out of every image below `source`, and save it under the same relative path below `out`.

    Images are turned upright first. Where no face is found there is no crop: nothing is guessed. `crops.csv` in `out`
    has a line for each image; one that has a line and a crop is not done again, and an image that could not be read
    is tried again. Raises UsageError where `out` was begun with other settings, or is `source` or inside of it.
    """
    how = how or Cropping()
    images, remarks = _images(source, out)
    boxes = read_boxes(how.boxes) if how.boxes is not None else None
    if boxes is not None:
        remarks += _boxes_without_image(boxes, images, how, source)
    else:
        detector(how.detects_with)
    open_settings(out, _settings(source, how))
    sizes = {path: size_of(source, path) for path in images}
    done = {path: one for path, one in read_record(out).items() if _is_done(one, sizes.get(path), out)}
    missing = [path for path in images if path not in done]
    if missing:
        write_record(out, done.values())
        done |= _crop_missing(_Job(source, out, how, boxes, sizes), missing, workers, console)
    return Cropped(tuple(done[path] for path in images), len(missing), tuple(remarks))


def _images(source: Path, out: Path) -> tuple[list[str], list[str]]:
    """Paths of the images below a folder, and remarks."""
    if kind_of(source) != "folder":
        raise UsageError(f"{source}: there is no such folder: give the one that holds the images")
    if out.resolve().is_relative_to(source.resolve()):
        raise UsageError(f"--out {out}: this lies in {source}, where crops would be taken for images: choose another")
    images, remarks = walk(source)
    if not images:
        raise UsageError(f"{source}: there are no images here: choose the folder that holds them")
    return images, remarks


def _boxes_without_image(
    boxes: dict[str, list[Face]], images: Sequence[str], how: Cropping, source: Path
) -> list[str]:
    lost = sorted(boxes.keys() - set(images))
    if len(lost) == len(boxes):
        raise UsageError(
            f"{how.boxes}: none of its {len(boxes):,} images lies in {source} (the list has {lost[0]}, the folder "
            f"{images[0]}): give the folder to which the list's paths are relative"
        )
    return [f"{len(lost):,} images of {how.boxes} are not in {source} (first: {lost[0]})"] if lost else []


def _settings(source: Path, how: Cropping) -> dict[str, object]:
    """What may not change within one folder of crops; a list of boxes is its content."""
    boxes = hashlib.sha256(how.boxes.read_bytes()).hexdigest()[:16] if how.boxes is not None else None
    return {
        "source": printable(str(source.absolute())),
        "detector": how.detects_with or None,
        "boxes (SHA-256)": boxes,
        "margin": how.margin,
        "face": how.face,
    }


def _is_done(crop: Crop, size: int | None, out: Path) -> bool:
    """Whether an image need not be looked at again; `size` is None for one that is there no more."""
    if crop.outcome == UNREADABLE or size not in (None, crop.bytes):
        return False
    return crop.outcome != CROPPED or size_of(out, crop.path) > 0


@dataclass(frozen=True)
class _Job:
    """All that a process needs to crop an image."""

    source: Path
    out: Path
    how: Cropping
    boxes: dict[str, list[Face]] | None
    sizes: dict[str, int]

    def calls(self, paths: Sequence[str]) -> Iterator[tuple]:
        for path in paths:
            faces = None if self.boxes is None else self.boxes.get(path, [])
            yield delayed(crop_image)(self.source, self.out, path, self.sizes[path], faces, self.how)


def _crop_missing(job: _Job, paths: Sequence[str], workers: int | None, console: Console | None) -> dict[str, Crop]:
    """Crop images in several processes (dlib lets no other thread run), and note each as it is done."""
    console = console or Console(stderr=True)
    crops: dict[str, Crop] = {}
    n_jobs = min(workers or os.cpu_count() or 1, len(paths))
    try:
        with (
            writing(job.out / RECORD),
            Appending(job.out) as record,
            Progress(console=console, transient=True, disable=not console.is_terminal) as bars,
        ):
            finished = cast(Iterator[Crop], Parallel(n_jobs=n_jobs, return_as="generator")(job.calls(paths)))
            for one in bars.track(finished, len(paths), description="cropping"):
                record.add(one)
                crops[one.path] = one
    except BrokenExecutor as error:
        raise ExpclipError(
            "a process that cropped images was killed, for want of memory perhaps: give fewer --workers and run the "
            "command again, which goes on from there"
        ) from error
    return crops


def crop_image(source: Path, out: Path, path: str, size: int, faces: Sequence[Face] | None, how: Cropping) -> Crop:
    """Crop one image. `faces` are those of a list; None asks the detector."""
    try:
        image = read_image(source / path, honour_orientation=True)
    except ImageError as error:
        return Crop(path, size, UNREADABLE, why=str(error))
    if faces is None:
        faces = detector(how.detects_with)(image)
    if not faces:
        why = f"{how.detects_with} finds no face" if how.detects_with else "the list has no box for it"
        return Crop(path, size, NO_FACE, why=why)
    inside = [face for face in faces if face.inside(*image.size)]
    if not inside:
        why = f"the box has no pixel of the image, which is {image.width} × {image.height}"
        return Crop(path, size, OUTSIDE, len(faces), faces[0], why)
    face = CHOICES[how.face](inside, *image.size)
    _save(image.crop(face.inside(*image.size, how.margin)), out / path)
    return Crop(path, size, CROPPED, len(faces), face)


def _save(image: Image.Image, path: Path) -> None:
    """Write an image in the format that its name says, whole or not at all."""
    file_format = Image.registered_extensions()[path.suffix.lower()]
    options = {"JPEG": _JPEG, "WEBP": {"lossless": True}}.get(file_format, {})
    with new_file(path) as temporary:
        image.save(temporary, file_format, **options)
