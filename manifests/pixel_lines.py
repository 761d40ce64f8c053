"""The rows of FER2013's table, `emotion,pixels,Usage`: one a line, quoted or not, in any order of columns."""

import csv
from collections.abc import Iterator
from typing import BinaryIO

from .stand_ins import stand_in

_PIXELS = "pixels"
_LONGEST = 2**16
"""Bytes of a line: several times what 48 × 48 values need."""


class TableError(Exception):
    """The file is not such a table; the message says why."""


def rows_of(file: BinaryIO, column: str) -> Iterator[str | None]:
    """What each row has in a column, None where it has none. Raises TableError.

    The first line names the columns. Blank lines are no rows.
    """
    lines = _lines(file)
    header = next(lines, b"")
    if other := stand_in(header):
        raise TableError(other)
    columns = [name.lower() for name in _cells(header)]
    if _PIXELS not in columns:
        raise TableError(f"the table has no column `{_PIXELS}`: is this FER2013's table?")
    place = columns.index(column) if column in columns else len(columns)
    for line in lines:
        cells = _cells(line)
        yield cells[place] if place < len(cells) else None


def _lines(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(_LONGEST):
        if len(line) == _LONGEST:
            raise TableError(f"the table has a line of more than {_LONGEST:,} bytes: is this FER2013's table?")
        if line.strip():
            yield line


def _cells(line: bytes) -> list[str]:
    text = line.decode("utf-8-sig", "replace").strip()
    cells = next(csv.reader([text], skipinitialspace=True)) if '"' in text else text.split(",")
    return [cell.strip() for cell in cells]
