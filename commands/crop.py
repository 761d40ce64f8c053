"""`expclip crop`: faces from whole images."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..encoders.detectors import DEFAULT_DETECTOR, DETECTORS
from ..errors import UsageError, option
from ..manifests.boxes import CHOICES, Face
from ..reports.console import print_line, say
from . import options
from .command import Command, list_failed
from .request import Request, ask

CROPPED = "cropped"


class CropFaces(Request, verb="crop"):
    """Cut one face out of every image of a folder, with boxes from a list or a face detector.

    After an interruption, run the same command to resume. `crops.csv` has a line for each image: the box, how many
    faces there were, and what went wrong; where no face is found nothing is guessed. Example:

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
    face: str = ask("Which of several faces.", "largest", choices=CHOICES)
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
    """Of the image below its folder, and of the crop below the other."""
    bytes: int
    """Size of the image: another one is another image."""
    outcome: str
    """cropped, no-face, outside (the box has no pixel of the image), small (a few pixels) or unreadable."""
    n_faces: int = 0
    face: Face | None = None
    """The one that was chosen: its box without the margin."""
    why: str = ""
    """What went wrong."""


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


def show(request: CropFaces, answer: Cropped) -> None:
    """One line."""
    total, failed = len(answer.crops), len(answer.failed)
    print_line(f"{request.out}: {total - failed:,} of {total:,} images have a crop ({answer.new:,} looked at)")


def document(request: CropFaces, answer: Cropped) -> dict[str, Any]:
    """What --json prints."""
    total, failed = len(answer.crops), len(answer.failed)
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
