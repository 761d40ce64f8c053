"""What a folder of crops was made with, and what became of each image: the state from which `crop` goes on."""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO, cast

from ...cache.files import new_file, read_json, write_json
from ...cache.run_note import OUT
from ...commands.crop import VIDEO, Crop
from ...errors import UsageError, option
from ...manifests.boxes import Face
from ...manifests.cells import cell, text_of

SETTINGS, RECORD = "crops.json", "crops.csv"
COLUMNS = ("path", "bytes", "outcome", "n_faces", "score", "x0", "y0", "x1", "y1", "why")
_MORE = ("frame", "number")
"""Columns of records of videos, or of all faces of images."""
NO_FACE, OUTSIDE, SMALL, UNREADABLE = "no-face", "outside", "small", "unreadable"


def line_of(crop: Crop, has_more: bool) -> str:
    """A crop as a line of the record; `has_more` is whether it says frames and numbers of faces."""
    face = crop.face
    box = [f"{value:.10g}" for value in face.corners] if face else [""] * 4
    score = "" if face is None or face.score is None else f"{face.score:.10g}"
    text = io.StringIO()
    cells = (cell(crop.path), crop.bytes, crop.outcome, crop.n_faces, score, *box, cell(crop.why))
    more = (crop.frame, crop.number) if has_more else ()
    csv.writer(text, lineterminator="\n").writerow(cells + more)
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
                f"{out}: its crops were made otherwise ({'; '.join(differing)}): choose another {option('out')}, or "
                f"repeat the options noted in {out / SETTINGS}"
            )
        return
    if out.exists() and (not out.is_dir() or any(entry.name[0] != "." for entry in out.iterdir())):
        raise UsageError(f"{out}: this holds files that are not our crops: choose a new or an empty folder")
    write_json(out / SETTINGS, settings, OUT)


def read_record(out: Path) -> dict[str, list[Crop]]:
    """The lines of each image, or video; of what a killed process left half-written there is none.

    Of several lines about the same face, or frame, the last one holds.
    """
    try:
        with _open(out / RECORD) as file:
            text = file.read()
    except FileNotFoundError:
        return {}
    rows = list(csv.reader(io.StringIO(text, newline="")))
    if not text.endswith("\n"):
        rows = rows[:-1]
    found: dict[str, dict[tuple[int | None, int | None, bool], Crop]] = defaultdict(dict)
    for crop in filter(None, map(_parse, rows)):
        found[crop.path][crop.frame, crop.number, crop.outcome == VIDEO] = crop
    return {path: list(crops.values()) for path, crops in found.items()}


def write_record(out: Path, crops: Iterable[Crop], has_more: bool) -> None:
    """Replace the record whole."""
    with new_file(out / RECORD, OUT) as temporary, _open(temporary, "w") as file:
        file.write(",".join(COLUMNS + (_MORE if has_more else ())) + "\n")
        file.writelines(line_of(crop, has_more) for crop in crops)


def open_record(out: Path) -> TextIO:
    """The record, open for more lines."""
    return _open(out / RECORD, "a")


def add_lines(record: TextIO, crops: Iterable[Crop], has_more: bool) -> None:
    """Note the crops of a file; the lines are on their way to the disk before the next one is done."""
    record.write("".join(line_of(crop, has_more) for crop in crops))
    record.flush()


def _open(path: Path, mode: str = "r") -> TextIO:
    """Older versions wrote the bytes of file names that are not text."""
    return cast(TextIO, path.open(mode, encoding="utf-8", errors="surrogateescape", newline=""))


def _parse(row: list[str]) -> Crop | None:
    """A line of the record; None for anything else."""
    try:
        path, size, outcome, n_faces, score, *box, why = row[: len(COLUMNS)]
        frame, number = (int(one) if one else None for one in row[len(COLUMNS) :] or ("", ""))
        face = None
        if any(box):
            x0, y0, x1, y1 = map(float, box)
            face = Face(x0, y0, x1, y1, float(score) if score else None)
        return Crop(text_of(path), int(size), outcome, int(n_faces), face, text_of(why), frame, number)
    except ValueError:
        return None
