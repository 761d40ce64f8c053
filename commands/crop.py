"""`expclip crop`: faces from whole images."""

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from ..encoders.detectors import DEFAULT_DETECTOR, DETECTORS
from ..errors import UsageError, option
from ..manifests.boxes import CHOICES, Face
from ..manifests.disk import is_video_name
from ..reports.console import print_line, say
from . import options
from .command import Command, list_failed
from .request import Request, ask

CROPPED, VIDEO = "cropped", "video"
ALL = "all"
"""Of the faces in an image."""


class CropFaces(Request, verb="crop"):
    """Cut one face out of every image of a folder, or all of them, with boxes from a list or a face detector.

    Of a video one face is cut out of every frame, into a folder of its own. After an interruption, run the same
    command to resume. `crops.csv` has a line for each image, or for each face of it with `--face all`, and each frame
    of a video: the box, how many faces there were, and what went wrong; where no face is found nothing is guessed.
    Example:

    `expclip crop /data/CAER-S --out /data/CAER-S-faces --margin 0.1`
    """

    source: Path = ask("The folder of the images.", metavar="SRC", is_argument=True, in_file=False)
    out: Path = ask("Folder of the crops; their paths in it are those in SRC.", in_file=False)
    boxes: Path | None = ask(
        "Lines `path x0 y0 x1 y1` (spaces, tabs, commas or semicolons), paths relative to SRC; a first line may name "
        "the columns: path,x,y,w,h. Pixels, or shares of the image where all lie in 0 … 1.",
        None,
        metavar="FILE",
        unset="none",
    )
    detector: str | None = ask(
        f"What finds faces without a list of boxes; `auto` is {DEFAULT_DETECTOR}.",
        None,
        choices=DETECTORS,
        unset="auto",
    )
    margin: float = ask("Added on each side, as a share of the box's width and height.", 0.0)
    face: str = ask(
        "Which of several faces; of a video's frames `all` is the largest.", "largest", choices=(*CHOICES, ALL)
    )
    workers: int | None = options.WORKERS.but(
        help="Processes that crop; 0 crops in this one. `auto` is one per core.", in_defaults=False
    )
    max_megapixels: int = options.MAX_MEGAPIXELS.but(help="Images of more million pixels are not decoded.")

    def check(self) -> None:
        if self.boxes is not None and self.detector is not None:
            raise UsageError(f"{option('boxes')} and {option('detector')}: choose one of them")
        if not 0 <= self.margin <= 10:
            raise UsageError(
                f"{option('margin')} {self.margin}: choose a share of the box from 0 to 10, for example 0.1"
            )

    @property
    def detects_with(self) -> str:
        """The detector's name, "" with a list of boxes."""
        return "" if self.boxes is not None else self.detector or DEFAULT_DETECTOR


@dataclass(frozen=True)
class Crop:
    """What became of one image."""

    path: str
    """Of the image, or the video, below its folder."""
    bytes: int
    """Size of the image: another one is another image."""
    outcome: str
    """cropped, no-face, outside (the box has no pixel of the image), small (a few pixels) or unreadable; `video` of
    a video whose frames have all been looked at."""
    n_faces: int = 0
    face: Face | None = None
    """The one that was chosen: its box without the margin."""
    why: str = ""
    """What went wrong."""
    frame: int | None = None
    """Of a video."""
    number: int | None = None
    """Of the face, from 1, the largest first, where all of an image are wanted."""

    @property
    def cut(self) -> str:
        """The path of the crop below the folder of crops: that of the image, but for one of several, or a frame."""
        image = PurePosixPath(self.path)
        if is_video_name(self.path):
            return f"{image.with_name(image.name.replace('.', '-'))}/{self.frame or 0:06d}.jpg"
        if self.number is None:
            return self.path
        return str(image.with_name(f"{image.stem}-face{self.number}{image.suffix}"))


@dataclass(frozen=True)
class Cropped:
    """What became of all images of a folder."""

    crops: tuple[Crop, ...]
    """In the order of their paths; of one file those of its faces or frames."""
    new: int
    """How many images were looked at in this run."""
    remarks: tuple[str, ...] = field(default=())

    @property
    def failed(self) -> tuple[Crop, ...]:
        """Of each file without any crop the first line that says why."""
        has_crop = {crop.path for crop in self.crops if crop.outcome == CROPPED}
        lost = {crop.path: crop for crop in reversed(self.crops) if crop.path not in has_crop}
        return tuple(reversed(lost.values()))

    @property
    def n_files(self) -> int:
        return len({crop.path for crop in self.crops})


def show(request: CropFaces, answer: Cropped) -> None:
    """One line."""
    total, failed = answer.n_files, len(answer.failed)
    print_line(f"{request.out}: {total - failed:,} of {total:,} images have a crop ({answer.new:,} looked at)")


def document(request: CropFaces, answer: Cropped) -> dict[str, Any]:
    """What --json prints."""
    total, failed = answer.n_files, len(answer.failed)
    lines = [{"path": one.path, "outcome": one.outcome, "why": one.why} for one in answer.failed]
    counts = {"images": total, "cropped": total - failed, "new": answer.new}
    return {"out": request.out} | counts | {"failed": lines}


def ending(request: CropFaces, answer: Cropped) -> int:
    """List remarks and images without a crop."""
    for remark in answer.remarks:
        say(remark)
    lines = [f"{one.path}: {one.why}" for one in answer.failed]
    return list_failed(lines, f"{len(lines):,} images have no crop: see {request.out / 'crops.csv'}")


CROP = Command(CropFaces, "stages.crop.crop:crop", show, document, ending)
