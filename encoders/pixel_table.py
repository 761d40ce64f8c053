"""FER2013's table, which holds pictures as text: `emotion,pixels,Usage`, 48 × 48 grey values per row."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from .images import ImageError, raise_if_machine_error

SIDE = 48
"""Of every picture of FER2013, in pixels."""
_COLUMN = b"pixels"


def read_pixel_rows(path: Path, rows: Sequence[int]) -> Iterator[tuple[int, Image.Image | ImageError]]:
    """The pictures in some rows of a table, as (row, RGB picture or what is wrong); row 0 follows the header.

    The table is read once, up to the last of the rows. Source: Goodfellow et al., ICONIP 2013.
    """
    wanted = set(rows)
    try:
        with path.open("rb") as file:
            columns = [name.strip() for name in file.readline().split(b",")]
            if _COLUMN not in columns:
                raise ImageError("the table has no column `pixels`: is this FER2013's table?")
            for row, line in enumerate(file):
                if row in wanted:
                    yield row, _picture(line, columns.index(_COLUMN))
                    wanted.discard(row)
                if not wanted:
                    return
        error = ImageError("the table has no such row: is it the one that belongs to the votes?")
    except OSError as trouble:
        raise_if_machine_error(path, trouble)
        error = ImageError(f"the table cannot be read ({trouble.strerror})")
    except ImageError as why:
        error = why
    yield from ((row, error) for row in sorted(wanted))


def _picture(line: bytes, column: int) -> Image.Image | ImageError:
    try:
        values = np.array(line.split(b",")[column].strip(b' "\r\n').split(), dtype=np.int64)
    except (IndexError, ValueError, OverflowError):
        return ImageError("the row holds something that is not a pixel value")
    if len(values) != SIDE * SIDE or values.min() < 0 or values.max() > 255:
        return ImageError(f"the row does not hold {SIDE} × {SIDE} values from 0 to 255")
    return Image.fromarray(values.reshape(SIDE, SIDE).astype(np.uint8)).convert("RGB")
