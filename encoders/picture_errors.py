"""Why a picture cannot be read."""

import errno
from pathlib import Path
from typing import Any

from ..errors import ExpclipError, flag

_NOT_THE_FILES_FAULT = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN}
"""Faults of the machine. A row that failed stays failed, so these must not count as failures of the file."""


class ImageError(Exception):
    """The file cannot be read as an image; the message says why."""

    limit: int | None = None
    """The limit on pixels that the picture exceeds, if that is why: under a larger one it is tried again."""


class IncompleteError(ImageError):
    """Part of the picture is not in the file; a decoder would leave it black or grey without a word."""


class TooLargeError(ImageError):
    """The picture has more pixels than are allowed."""

    def __init__(self, limit: int, size: tuple[int, int] | None = None):
        found = f" (this has {size[0]:,} × {size[1]:,})" if size else ""
        super().__init__(
            f"images of more than {limit:,} pixels are refused: save it smaller, or allow more with "
            f"{flag('max_megapixels')}{found}"
        )
        self.limit, self.size = limit, size

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        """It comes from processes that decode."""
        return type(self), (self.limit, self.size)


def refuse_large(size: tuple[int, int], limit: int) -> None:
    """Raise TooLargeError for a width and height of more pixels than are allowed."""
    if size[0] * size[1] > limit:
        raise TooLargeError(limit, size)


def raise_if_machine_error(path: Path, error: OSError) -> None:
    """Raise ExpclipError where an error is the machine's fault: reading the same file later may succeed."""
    if error.errno in _NOT_THE_FILES_FAULT:
        raise ExpclipError(f"{path}: {error.strerror}: resolve this and run the command again") from error
