"""A disk in memory, of which one can say how much room is left. Only root may make one, and not everywhere."""

import os
import subprocess
from pathlib import Path

_PAGE = 4096
_AMPLE = {"size": 64 << 20, "nr_inodes": 20_000}


class SmallDisk:
    """A disk at a folder. Raises OSError where it may not be made."""

    def __init__(self, folder: Path):
        self._folder = folder
        folder.mkdir(exist_ok=True)
        self._mount("-t", "tmpfs", "tmpfs", "-o", _words(_AMPLE))

    def leave(self, space: float | None = None, files: float | None = None) -> None:
        """Let no more bytes, or files, find room, or let all."""
        now, said = os.statvfs(self._folder), dict(_AMPLE)
        if space is not None:
            said["size"] = (now.f_blocks - now.f_bfree) * now.f_bsize + int(space) // _PAGE * _PAGE
        if files is not None:
            said["nr_inodes"] = now.f_files - now.f_ffree + int(files)
        self._mount("-o", f"remount,{_words(said)}")

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", self._folder], check=True)

    def _mount(self, *words: str) -> None:
        ran = subprocess.run(["mount", *words, self._folder], capture_output=True, text=True)
        if ran.returncode:
            raise OSError(ran.stderr.strip())


def _words(said: dict[str, int]) -> str:
    return ",".join(f"{name}={value}" for name, value in said.items())
