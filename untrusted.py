"""Files that others wrote, as text and as values: ordinary files, bounded in size and depth, and wrong in one way.

Whatever is wrong is a ValueError, or an OSError where the disk refuses.
"""

import errno
import json
import os
import stat
import tomllib
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path
from typing import Any

MOST_BYTES = 64 << 20
"""Of a file that is read whole."""
_LONGEST_LINE = 8192


def open_file(path: Path) -> BufferedReader:
    """An ordinary file, open for reading. A pipe or a device, which might never end, is a ValueError."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        raise ValueError("it is not an ordinary file")
    return os.fdopen(handle, "rb")


def refuse_pipes(folder: Path) -> None:
    """Raise ValueError where anything below a folder is neither file nor folder: its reader may not look first."""
    for place, _, files in os.walk(folder):
        for name in files:
            if not Path(place, name).is_file():
                raise ValueError(f"{name} is not an ordinary file")


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """The text of a file in UTF-8."""
    return read_bytes(path, most).decode("utf-8-sig")


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """The content of a file."""
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        raw = file.read(min(size, most) + 1)  # memory for `most` bytes takes longer than most files do
        if len(raw) > size:  # it grew, or its size was not known
            raw += file.read(most + 1 - len(raw))
    if len(raw) > most:
        raise ValueError(f"it is longer than {most:,} bytes")
    return raw


def parse_json(text: str | bytes, **how: Any) -> Any:
    """The value of a JSON text, in which all numbers are finite."""
    return _parsed(lambda: json.loads(text, parse_constant=_refuse, **how))


def parse_toml(text: str) -> dict[str, Any]:
    """The tables of a TOML text. Dotted keys cost the square of their parts, so that lines have a bound."""
    if max(map(len, text.splitlines()), default=0) > _LONGEST_LINE:
        raise ValueError(f"it has a line of more than {_LONGEST_LINE:,} characters")
    return _parsed(lambda: tomllib.loads(text))


def _parsed(parse: Callable[[], Any]) -> Any:
    try:
        return parse()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number of JSON")
