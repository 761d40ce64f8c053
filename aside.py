"""What is written aside before it takes its name: how it is called, whose it is, and clearing up after the dead.

Nobody reads or minds such a file or folder: it is hidden. Its name says which process of which machine makes it, so
that the next one who writes there can tell what is still being made from what a killed process left behind.
"""

import hashlib
import os
import re
import shutil
import socket
import time
import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_LONGEST = 180
"""Bytes of a name that are kept in the name of its temporary."""
_ABANDONED_SECONDS = 24 * 3600.0
"""After which another machine's temporary that did not change is nobody's."""
_SECONDS_APART = 2
"""By which two readings of when a process began may differ."""
_NAME = re.compile(
    r"\.(?P<final>.+)\.(?P<host>[0-9a-f]{8})-(?P<pid>[0-9a-f]+)-(?P<began>[0-9a-f]+)-[0-9a-f]{6}", re.S
)


@dataclass(frozen=True)
class Process:
    """A process of some machine, told apart from an earlier one with the same number by when it began."""

    host: str
    """8 digits that stand for the machine."""
    pid: int
    began: int
    """Seconds since 1970."""

    @classmethod
    def this(cls) -> "Process":
        """The one that asks."""
        return _known(os.getpid())

    @property
    def is_dead(self) -> bool:
        """Whether it has ended; False for one of another machine, of which nothing is known here."""
        import psutil

        if self.host != _host():
            return False
        try:
            return abs(psutil.Process(self.pid).create_time() - self.began) > _SECONDS_APART
        except psutil.NoSuchProcess:
            return True
        except psutil.Error:  # it is there, and somebody else's
            return False


@cache
def _known(pid: int) -> Process:
    import psutil

    return Process(_host(), pid, int(psutil.Process(pid).create_time()))


@cache
def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def beside(final: Path) -> Path:
    """A new hidden name beside a path, for what is to take its place; nothing is made yet."""
    maker = Process.this()
    return final.with_name(f".{_stem(final.name)}.{maker.host}-{maker.pid:x}-{maker.began:x}-{uuid.uuid4().hex[:6]}")


def _stem(name: str) -> str:
    raw = os.fsencode(name)
    if len(raw) <= _LONGEST:
        return name
    return f"{raw[:_LONGEST].decode('utf-8', 'ignore')}-{hashlib.sha256(raw).hexdigest()[:8]}"


def is_left_behind(path: Path) -> bool:
    """Whether this is a temporary whose maker is dead, or one of another machine that has not changed for a day."""
    found = _NAME.fullmatch(path.name)
    if found is None:
        return False
    maker = Process(found["host"], int(found["pid"], 16), int(found["began"], 16))
    if maker.is_dead:
        return True
    if maker.host == _host():
        return False
    try:
        return time.time() - path.stat().st_mtime > _ABANDONED_SECONDS
    except OSError:
        return False


def is_temporary(name: str) -> bool:
    """Whether something of this name is being written, or was left behind by whoever wrote it."""
    return _NAME.fullmatch(name) is not None


def clear(final: Path) -> None:
    """Remove what dead processes left behind of a path."""
    mark = f".{_stem(final.name)}."
    with suppress(OSError):
        with os.scandir(final.parent) as entries:
            names = [entry.name for entry in entries if entry.name.startswith(mark)]
        remove(path for name in names if is_left_behind(path := final.parent / name))


def sweep(folder: Path) -> None:
    """Remove all that dead processes left behind in a folder."""
    with suppress(OSError):
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if is_temporary(entry.name)]
        remove(path for name in names if is_left_behind(path := folder / name))


def remove(paths: Iterable[Path]) -> None:
    """Remove files and folders, as far as the disk lets."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()
