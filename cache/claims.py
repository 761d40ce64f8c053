"""Who makes what at the moment, so that no two processes make the same.

Nothing is right or wrong by it: without working claims things are made twice, at worst.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from ..aside import Process, beside, has_not_changed_for_a_day
from ..untrusted import parse_json, read_text
from .files import write_new
from .receipts import CLAIM

_BEAT_SECONDS = 2.0
ABANDONED_SECONDS = 60.0
"""After which a claim that did not change, by the clock of who looks at it, is nobody's."""


@dataclass(frozen=True)
class Claimant:
    """Who says in a claim that it makes something."""

    process: Process
    machine: str

    def __str__(self) -> str:
        return f"process {self.process.pid} of {self.machine}"


class Claims:
    """What this process has claimed. As a context manager it gives all of it back at the end."""

    def __init__(self) -> None:
        self._held: set[Path] = set()
        self._seen: dict[Path, tuple[object, float]] = {}
        """Of others' claims: how they looked, and when that was seen first."""
        self._beat: threading.Thread | None = None
        self._ended = threading.Event()

    def __enter__(self) -> "Claims":
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._beat is not None:
            self._beat.join()
        self.give_back(list(self._held))

    def take(self, files: Collection[Path]) -> bool:
        """Claim all of these or none; False where another has one of them."""
        taken: list[Path] = []
        for file in sorted(files):
            if not self._take(file):
                self.give_back(taken)
                return False
            taken.append(file)
        return True

    def give_back(self, files: Collection[Path]) -> None:
        """Let others have them."""
        for file in files:
            self._held.discard(file)
            if claimant(file) == _this():
                with suppress(OSError):
                    file.unlink()

    def _take(self, file: Path) -> bool:
        if self._is_abandoned(file):
            _remove(file)
        if not write_new(file, json.dumps(asdict(_this()))):
            return False
        self._held.add(file)
        self._seen.pop(file, None)
        if self._beat is None:
            self._beat = threading.Thread(target=self._show_life, daemon=True)
            self._beat.start()
        return True

    def _is_abandoned(self, file: Path) -> bool:
        """Whether the process that has a claim has ended, or shows no life: by the clock here, not by the disk's."""
        try:
            looks = (file.stat().st_mtime_ns, owner := claimant(file))
        except OSError:
            return False
        if owner is not None and owner.process.is_dead:
            return True
        known, since = self._seen.get(file, (None, 0.0))
        if known != looks:
            self._seen[file] = (looks, time.monotonic())
            return False
        return time.monotonic() - since > ABANDONED_SECONDS

    def _show_life(self) -> None:
        while not self._ended.wait(_BEAT_SECONDS):
            for file in list(self._held):
                with suppress(OSError):
                    os.utime(file)


def claimant(file: Path) -> Claimant | None:
    """Who has a claim; None where nobody has, or it does not say."""
    try:
        return _ADAPTER.validate_python(parse_json(read_text(file)))
    except (OSError, ValueError):
        return None


def is_abandoned(file: Path) -> bool:
    """Whether the process that has a claim has ended, or, on another machine, has shown no life for a day."""
    owner = claimant(file)
    return owner is not None and (owner.process.is_dead or has_not_changed_for_a_day(file))


def remove_dead(folder: Path) -> None:
    """Remove the claims in a folder that are nobody's any more."""
    for file in folder.glob(f"*{CLAIM}"):
        if is_abandoned(file):
            _remove(file)


def _remove(file: Path) -> None:
    """Remove an abandoned claim. Of several who do so at once only one moves it; who moves a new one puts it back."""
    was, moved = claimant(file), beside(file)
    with suppress(OSError):
        file.rename(moved)
        if claimant(moved) != was:
            os.link(moved, file)
        moved.unlink()


def _this() -> Claimant:
    return Claimant(Process.this(), socket.gethostname())


_ADAPTER = TypeAdapter(Claimant)
