"""What stands in list files: lines `path n_frames label` or `path label`, or a table with a header."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError, reason
from ..untrusted import open_file
from .disk import is_image_name, is_video_name, kind_of
from .manifest import NO_FOLD
from .stand_ins import stand_in

_HEAD_BYTES, MOST_BYTES = 1 << 16, 128 << 20
_MOST_FOLDS = 32767
_DELIMITERS = (",", ";", "\t")
_COLUMNS = {
    "path": "path file_path filepath file file_name filename image_path image_name image img video_name video clip"
    " name",
    "label": "label class emotion expression",
    "n_frames": "n_frames num_frames frames",
    "fold": "fold",
}
_ROLE_OF = {word: role for role, words in _COLUMNS.items() for word in words.split()}
_FORMS = "`path n_frames label`, `path label`, or first a line that names columns, such as `path,label`"


@dataclass(frozen=True)
class Entry:
    """One sample as a list has it."""

    where: str
    """File and line."""
    path: str
    label: str
    n_frames: str | None
    """None where the list does not say."""
    fold: int = NO_FOLD


def entries_of(path: Path) -> Iterator[Entry]:
    """The samples of a list file, which has the form of its first line throughout.

    Lines are parsed from the right, so that paths may hold spaces. Raises UsageError with file and line for one of
    another form.
    """
    text = _text_of(path)
    first = next(_numbered(path, text), None)
    if first is None:
        return
    where, line = first
    for delimiter in _DELIMITERS:
        columns = [name.strip().lower() for name in _fields(line, delimiter)]
        if {"path", "label"} <= {_ROLE_OF.get(name) for name in columns}:
            yield from _rows(path, text, delimiter, _columns(columns, where))
            return
    if set(line.lower().split()) <= _ROLE_OF.keys():
        raise UsageError(f"{where}: put commas, semicolons or tabs between the names of the columns, found {line!r}")
    yield from _lines(_numbered(path, text), has_frames=_has_frames(line))


def _fields(line: str, delimiter: str) -> list[str]:
    """The fields of a line as a table would have them; none where it cannot be one of a table."""
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []


def _has_frames(line: str) -> bool:
    parts = line.rsplit(maxsplit=2)
    return len(parts) == 3 and parts[1].isascii() and parts[1].isdigit()


def _lines(lines: Iterable[tuple[str, str]], has_frames: bool) -> Iterator[Entry]:
    form = "`path n_frames label`" if has_frames else "`path label`"
    for number, (where, line) in enumerate(lines):
        parts = line.rsplit(maxsplit=2 if has_frames else 1)
        is_label = not (set(parts[-1]) & set(",;/\\") or is_image_name(parts[-1]) or is_video_name(parts[-1]))
        if number == 0 and not (is_label and len(parts) > 1):
            raise UsageError(f"{where}: expected {_FORMS}, found {line!r}")
        if _has_frames(line) != has_frames or not is_label or len(parts) != 2 + has_frames:
            why = "a path that ends in a number must stand in a table with a header, `path,label`"
            raise UsageError(f"{where}: expected {form}, found {line!r}: all lines have the form of the first; {why}")
        yield Entry(where, parts[0], parts[-1], parts[1] if has_frames else None)


def _columns(names: Sequence[str], where: str) -> dict[str, int]:
    """The number of the column that holds each thing; of several for one thing that which is called just so."""
    found: dict[str, int] = {}
    for role in _COLUMNS:
        those = [column for column, name in enumerate(names) if _ROLE_OF.get(name) == role]
        exact = [column for column in those if names[column] == role]
        if len(those) > 1 and len(exact) != 1:
            said = ", ".join(names[column] for column in those)
            raise UsageError(f"{where}: several columns may be the {role} ({said}): call one of them {role}")
        if those:
            found[role] = (exact or those)[0]
    return found


def _rows(path: Path, text: str, delimiter: str, column: dict[str, int]) -> Iterator[Entry]:
    table = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    width = 0
    try:
        for row in table:
            where = f"{path}:{table.line_num}"
            if not any(cell.strip() for cell in row):
                continue
            if not width:
                width = len(row)
                continue
            if len(row) != width:
                raise UsageError(
                    f"{where}: expected {width} fields, found {len(row)}: put fields with {delimiter!r} in quotes"
                )
            said = {role: row[number].strip() for role, number in column.items()}
            if not said["path"] or not said["label"]:
                raise UsageError(f"{where}: a path or a label is missing: write -1 where a label is not known")
            yield Entry(where, said["path"], said["label"], said.get("n_frames") or None, _fold(said, where))
    except csv.Error as error:
        raise UsageError(f"{path}:{table.line_num}: not a line of a table ({error}): correct it") from error


def _fold(said: dict[str, str], where: str) -> int:
    word = said.get("fold")
    if word is None:
        return NO_FOLD
    if not (word.isascii() and word.isdigit() and len(word) < 6 and 1 <= int(word) <= _MOST_FOLDS):
        raise UsageError(f"{where}: folds are numbered 1, 2, …, found {word!r}: correct it")
    return int(word)


def lines_of(path: Path, header: str = "") -> Iterator[tuple[str, str]]:
    """The non-empty lines of a list file, each with its place; file names may hold any bytes."""
    for where, line in _numbered(path, _text_of(path)):
        if (where, line) != (f"{path}:1", header):
            yield where, line


def _numbered(path: Path, text: str) -> Iterator[tuple[str, str]]:
    """The non-empty lines of a text, each with its place."""
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        if line.strip():
            yield f"{path}:{number}", line.strip()


def _text_of(path: Path) -> str:
    if kind_of(path) != "file":
        raise UsageError(f"{path}: the list file is missing or not an ordinary file: put the list there")
    try:
        with open_file(path) as file:
            raw = file.read(_HEAD_BYTES)
            raw += b"" if b"\0" in raw else file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: the list file cannot be read ({reason(error)})") from error
    if len(raw) > MOST_BYTES:
        raise UsageError(f"{path}: no list is longer than {MOST_BYTES >> 20} MiB: is this the right file?")
    if other := stand_in(raw[:_HEAD_BYTES]):
        raise UsageError(f"{path}: {other}")
    text = raw.decode("utf-8-sig", "surrogateescape")
    if "\0" in text:
        raise UsageError(f"{path}: not a list file (it holds zero bytes): give a folder, or a list in UTF-8")
    return text
