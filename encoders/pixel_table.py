"""FER2013's table, which holds pictures as text: `emotion,pixels,Usage`, 48 × 48 grey values per row."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ..manifests.pixel_lines import TableError, rows_of
from .picture_errors import ImageError, raise_if_machine_error

SIDE = 48
"""Of every picture of FER2013, in pixels."""


def read_pixel_rows(path: Path, rows: Sequence[int]) -> Iterator[tuple[int, Image.Image | ImageError]]:
    """The pictures in some rows of a table, as (row, RGB picture or what is wrong); row 0 follows the header.

    The table is read once, up to the last of the rows. Source: Goodfellow et al., ICONIP 2013.
    """
    wanted = set(rows)
    try:
        with path.open("rb") as file:
            for row, pixels in enumerate(rows_of(file, "pixels")):
                if row in wanted:
                    yield row, _picture(pixels)
                    wanted.discard(row)
                if not wanted:
                    return
        error = ImageError("the table has no such row: is it the one that belongs to the votes?")
    except OSError as trouble:
        raise_if_machine_error(path, trouble)
        error = ImageError(f"the table cannot be read ({trouble.strerror})")
    except TableError as why:
        error = ImageError(str(why))
    yield from ((row, error) for row in sorted(wanted))


def _picture(pixels: str | None) -> Image.Image | ImageError:
    try:
        values = np.array(["?"] if pixels is None else pixels.split(), dtype=np.int64)
    except (ValueError, OverflowError):
        return ImageError("the row holds something that is not a pixel value")
    if len(values) != SIDE * SIDE or values.min() < 0 or values.max() > 255:
        return ImageError(f"the row does not hold {SIDE} × {SIDE} values from 0 to 255")
    return Image.fromarray(values.reshape(SIDE, SIDE).astype(np.uint8)).convert("RGB")
