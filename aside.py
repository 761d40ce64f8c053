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
"""After which a temporary that did not change is nobody's, whatever can be told of its maker."""
_NAME = re.compile(
    r"\.(?P<final>.+)\.(?P<host>[0-9a-f]{8})-(?P<pid>[0-9a-f]{1,16})-(?P<run>[0-9a-f]{6})-[0-9a-f]{6}", re.DOTALL
)
_RUN = uuid.uuid4().hex[:6]


@dataclass(frozen=True)
class Process:
    """A process of some machine."""

    host: str
    """8 digits that stand for the machine."""
    pid: int
    run: str
    """6 digits that tell it from an earlier one with the same number, as there is one in each container."""

    @classmethod
    def this(cls) -> "Process":
        """The one that asks."""
        return cls(_host(), os.getpid(), _RUN)

    @property
    def is_dead(self) -> bool:
        """Whether it has ended; False for one of another machine, of which nothing is known here."""
        if self.host != _host():
            return False
        return self.run != _RUN if self.pid == os.getpid() else not _is_running(self.pid)


def _is_running(pid: int) -> bool:
    if os.name == "nt":  # where the signal would end it
        import psutil

        return psutil.pid_exists(pid)
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it is there, and somebody else's
        return True
    return True


@cache
def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def beside(final: Path) -> Path:
    """A new hidden name beside a path, for what is to take its place; nothing is made yet."""
    maker = Process.this()
    return final.with_name(f".{_stem(final.name)}.{maker.host}-{maker.pid:x}-{maker.run}-{uuid.uuid4().hex[:6]}")


def _stem(name: str) -> str:
    raw = os.fsencode(name)
    if len(raw) <= _LONGEST:
        return name
    return f"{raw[:_LONGEST].decode('utf-8', 'ignore')}-{hashlib.sha256(raw).hexdigest()[:8]}"


def is_left_behind(path: Path) -> bool:
    """Whether this is a temporary whose maker is dead, or one that has not changed for a day."""
    found = _NAME.fullmatch(path.name)
    if found is None:
        return False
    maker = Process(found["host"], int(found["pid"], 16), found["run"])
    if maker.is_dead or maker == Process.this():
        return maker.is_dead
    return has_not_changed_for_a_day(path)


def has_not_changed_for_a_day(path: Path) -> bool:
    """Whether a file is so old that nobody writes it any more; False for one that is not there."""
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
