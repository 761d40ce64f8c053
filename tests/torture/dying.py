"""Commands in forked children that die at one of their changes to the disk, or are refused it.

A change is what an audit hook sees of it, below the working directory, and each flush of a file: a child that dies
there leaves half of that file, as one that dies while it writes.
"""

import errno
import mmap
import os
import resource
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expclip import cli

_CHANGES = (
    *("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink"),
    *("os.utime", "os.truncate", "os.chmod", "os.chown"),
)
_WRITES = os.O_WRONLY | os.O_RDWR
KILLED = 9


@dataclass(frozen=True)
class Stop:
    """What ends a command."""

    how: str = ""
    """`kill` or the name of an error at the n-th change; `time`: killed after n seconds; `bytes`: no file may have
    more than n bytes; `space` or `files`: so many bytes or files have room on the disk."""
    n: float = 0

    def __str__(self) -> str:
        return f"{self.how} {self.n:g}"


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    said: str
    changes: int
    """How many it made or tried."""
    seconds: float


class _Doom:
    """Counts the changes of this process, and ends it at one of them."""

    def __init__(self, root: Path, stop: Stop, counted: Any):
        self._root, self._stop, self._counted = root, stop, counted
        self._lock, self._is_over = threading.Lock(), False
        self._fsync = os.fsync

    def begin(self) -> None:
        sys.addaudithook(self._hear)
        os.fsync = self._flush

    def _hear(self, event: str, arguments: tuple) -> None:
        if event == "open":
            is_change = isinstance(arguments[2], int) and arguments[2] & _WRITES and self._is_ours(arguments[0])
        else:
            is_change = event in _CHANGES and any(map(self._is_ours, arguments[:2]))
        if is_change:
            self._change()

    def _flush(self, handle: int) -> None:
        self._change(handle)
        self._fsync(handle)

    def _is_ours(self, place: Any) -> bool:
        if isinstance(place, int) or place is None:
            return False
        return (self._root / os.fsdecode(place)).is_relative_to(self._root)

    def _change(self, flushed: int | None = None) -> None:
        if self._is_over:
            return
        with self._lock:
            self._counted[0] += 1
            is_it = self._counted[0] == self._stop.n and (self._stop.how == "kill" or hasattr(errno, self._stop.how))
            self._is_over = is_it and self._stop.how == "kill"
        if self._is_over:
            if flushed is not None:
                _cut(flushed)
            os._exit(KILLED)
        if is_it:
            code = getattr(errno, self._stop.how)
            raise OSError(code, os.strerror(code))


def _cut(handle: int) -> None:
    status, place = os.fstat(handle), Path(f"/proc/self/fd/{handle}")
    if stat.S_ISREG(status.st_mode) and place.exists():
        os.truncate(place, status.st_size // 2)


def typed(words: str) -> Callable[[], None]:
    """What the command line does with words, none of which has a space in it."""

    def act() -> None:
        sys.argv = ["expclip", *words.split()]
        cli.main()

    return act


def run(action: Callable[[], None], root: Path, stop: Stop | None = None) -> Ended:
    """Do something in a child whose working directory is `root`, and listen until it and its children have ended."""
    stop, started = stop or Stop(), time.monotonic()
    counted, (ear, mouth) = memoryview(mmap.mmap(-1, 8)).cast("q"), os.pipe()
    child = os.fork()
    if not child:
        _live(action, root, stop, mouth, counted)
    os.close(mouth)
    if stop.how == "time":
        time.sleep(stop.n)
        os.kill(child, signal.SIGKILL)
    with os.fdopen(ear, encoding="utf-8", errors="replace") as heard:
        said = heard.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return Ended(KILLED if code == -signal.SIGKILL else code, said, counted[0], time.monotonic() - started)


def _live(action: Callable[[], None], root: Path, stop: Stop, mouth: int, counted: Any) -> None:
    code: Any = 99
    try:
        for stream, handle in (("stdout", 1), ("stderr", 2)):
            os.dup2(mouth, handle)
            setattr(sys, stream, os.fdopen(handle, "w", encoding="utf-8", closefd=False))
        os.close(mouth)
        os.chdir(root)
        if stop.how == "bytes":
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(stop.n), resource.RLIM_INFINITY))
        _Doom(root, stop, counted).begin()
        action()
        code = 0
    except SystemExit as error:
        code = error.code or 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
