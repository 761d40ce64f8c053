"""What a folder of crops was made with, and what became of each image: the state from which `crop` goes on."""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, cast

from ..cache.files import new_file, read_json, write_json
from ..errors import UsageError
from ..manifests.boxes import Face

SETTINGS, RECORD = "crops.json", "crops.csv"
COLUMNS = ("path", "bytes", "outcome", "n_faces", "score", "x0", "y0", "x1", "y1", "why")
CROPPED, NO_FACE, OUTSIDE, UNREADABLE = "cropped", "no-face", "outside", "unreadable"


@dataclass(frozen=True)
class Crop:
    """What became of one image."""

    path: str
    """Of the image below its folder, and of the crop below the other."""
    bytes: int
    """Size of the image: another one is another image."""
    outcome: str
    """cropped, no-face, outside (the box has no pixel of the image) or unreadable."""
    n_faces: int = 0
    face: Face | None = None
    """The one that was chosen: its box without the margin."""
    why: str = ""
    """What went wrong, for people."""

    @property
    def line(self) -> str:
        """As a line of the record."""
        face = self.face
        box = [f"{value:.10g}" for value in (face.x0, face.y0, face.x1, face.y1)] if face else [""] * 4
        score = "" if face is None or face.score is None else f"{face.score:.10g}"
        text = io.StringIO()
        cells = (self.path, self.bytes, self.outcome, self.n_faces, score, *box, self.why)
        csv.writer(text, lineterminator="\n").writerow(cells)
        return text.getvalue()


def open_settings(out: Path, settings: Mapping[str, Any]) -> None:
    """Note in a new or empty folder what its crops are made with.

    Raises UsageError where the folder holds other files, or crops that were made with other settings.
    """
    noted = read_json(out / SETTINGS)
    if isinstance(noted, dict):
        differing = [
            f"{name} was {noted.get(name)} and is {value} now"
            for name, value in settings.items()
            if noted.get(name) != value
        ]
        if differing:
            raise UsageError(
                f"{out}: its crops were made otherwise ({'; '.join(differing)}): choose another --out, or repeat "
                f"the options noted in {out / SETTINGS}"
            )
        return
    if out.exists() and (not out.is_dir() or any(entry.name[0] != "." for entry in out.iterdir())):
        raise UsageError(f"{out}: this holds files that are no crops of ours: choose a new or an empty folder")
    write_json(out / SETTINGS, settings)


def read_record(out: Path) -> dict[str, Crop]:
    """The last whole line of each image; of what a killed process left half-written there is none."""
    try:
        with _open(out / RECORD) as file:
            text = file.read()
    except FileNotFoundError:
        return {}
    rows = list(csv.reader(io.StringIO(text, newline="")))
    if not text.endswith("\n"):
        rows = rows[:-1]
    crops = (_parse(row) for row in rows)
    return {crop.path: crop for crop in crops if crop}


def write_record(out: Path, crops: Iterable[Crop]) -> None:
    """Replace the record whole."""
    with new_file(out / RECORD) as temporary, _open(temporary, "w") as file:
        file.write(",".join(COLUMNS) + "\n")
        file.writelines(crop.line for crop in crops)


class Appending:
    """The record, open for more lines: each is on its way to the disk before the next image is done."""

    def __init__(self, out: Path):
        self._file = _open(out / RECORD, "a")

    def __enter__(self) -> "Appending":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, crop: Crop) -> None:
        self._file.write(crop.line)
        self._file.flush()


def _open(path: Path, mode: str = "r") -> TextIO:
    """File names may hold bytes that are no text."""
    return cast(TextIO, path.open(mode, encoding="utf-8", errors="surrogateescape", newline=""))


def _parse(row: list[str]) -> Crop | None:
    """A line of the record, None for one that is none."""
    try:
        path, size, outcome, n_faces, score, *box, why = row
        face = None
        if any(box):
            x0, y0, x1, y1 = map(float, box)
            face = Face(x0, y0, x1, y1, float(score) if score else None)
        return Crop(path, int(size), outcome, int(n_faces), face, why)
    except ValueError:
        return None
