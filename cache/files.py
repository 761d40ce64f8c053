"""Writing so that a crash leaves the old file or the new one, with one clear line where the disk refuses."""

import errno
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import ExpclipError, option
from ..manifests.disk import short_name
from ..untrusted import parse_json, read_text

_DISK_TROUBLE = {
    errno.ENOSPC: "the disk is full: free some space",
    errno.EDQUOT: "the disk quota is used up: free some space",
    errno.EFBIG: "the file would be larger than allowed: raise the limit",
    errno.EROFS: f"the disk is read-only: choose another folder with {option('cache')}",
    errno.EACCES: f"writing is not permitted: change the permissions or choose another folder with {option('cache')}",
    errno.EPERM: f"writing is not permitted: change the permissions or choose another folder with {option('cache')}",
    errno.EIO: "the disk reports an input/output error: check it",
}


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Turn the disk's refusals into one line; what was finished before stays usable."""
    try:
        yield
    except OSError as error:
        why = _DISK_TROUBLE.get(error.errno or 0, f"{error}: choose another folder")
        raise ExpclipError(
            f"cannot write {place}: {why}, and run the command again. What is finished stays."
        ) from error


def write_json(path: Path, content: Any) -> None:
    """Replace a JSON file; the new one is flushed to the disk before it appears under its name."""
    with new_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
    with writing(path):
        fsync(path.parent)


def _hidden_sibling(final: Path) -> Path:
    """A new name beside a path, whose parent is made where it is missing.

    It is hidden, so that nobody reads or minds what a killed process leaves behind.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    return final.with_name(f".{short_name(final.name)}.{uuid.uuid4().hex[:8]}")


@contextmanager
def new_file(final: Path) -> Iterator[Path]:
    """A temporary path whose file replaces the final one, flushed to the disk, when the block ends well."""
    with writing(final):
        temporary = _hidden_sibling(final)
        try:
            yield temporary
            fsync(temporary)
            temporary.replace(final)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def read_json(path: Path) -> Any | None:
    """The content of a JSON file, or None where it is missing, half-written or cannot be one of ours."""
    try:
        return parse_json(read_text(path))
    except (OSError, ValueError):
        return None


def fsync(path: Path) -> None:
    """Flush a file or a folder entry to the disk."""
    if os.name == "nt" and path.is_dir():
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def flush(folder: Path) -> None:
    """Flush all files of a folder to the disk."""
    for path in folder.rglob("*"):
        fsync(path)


@contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """A temporary folder that takes its final name when the block ends well.

    If another process finished first, its folder is kept.
    """
    with writing(final):
        temporary = _hidden_sibling(final)
        temporary.mkdir()
        try:
            yield temporary
            if not final.exists():
                temporary.rename(final)
                fsync(final.parent)
        except OSError:
            if not final.exists():
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def printable(text: str) -> str:
    """Text that every terminal and JSON file takes: file names may hold bytes that are not text."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
