"""Writing so that a crash leaves the old file or the new one, with one clear line where the disk refuses."""

import errno
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..aside import beside, clear, remove
from ..errors import ExpclipError, option
from ..untrusted import parse_json, read_text
from .keys import digest

CACHE = option("cache")
"""What chooses where something is written, unless another option or argument does."""
_DISK_TROUBLE = {
    errno.ENOSPC: "the disk is full: free some space",
    errno.EDQUOT: "the disk quota is used up: free some space",
    errno.EFBIG: "the file would be larger than allowed: raise the limit",
    errno.EIO: "the disk reports an input/output error: check it",
}
_NOT_HERE = {
    errno.EROFS: "the disk is read-only: ",
    errno.EACCES: "writing is not permitted: change the permissions or ",
    errno.EPERM: "writing is not permitted: change the permissions or ",
}
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
_SEAL = "content_digest"
_RUST = re.compile(r"\(os error (\d+)\)")
"""How libraries that are written in Rust, such as safetensors, say what the disk said."""


@contextmanager
def writing(place: Path, choose: str = CACHE) -> Iterator[None]:
    """Turn the disk's refusals into one line; what was finished before stays usable.

    `choose` is what chooses another place: `option("out")`, or "FILE" for an argument.
    """
    try:
        yield
    except Exception as error:
        code = _code(error)
        if code is None:
            raise
        elsewhere = f"choose another place with {choose}"
        known = f"{_NOT_HERE[code]}{elsewhere}" if code in _NOT_HERE else _DISK_TROUBLE.get(code)
        why = known or f"{error}: {elsewhere}"
        raise ExpclipError(
            f"cannot write {place}: {why}, and run the command again. What is finished stays."
        ) from error


def _code(error: Exception) -> int | None:
    """The number of what the disk refused, 0 for one without a number; None where it is no refusal of the disk."""
    if isinstance(error, OSError):
        return error.errno or 0
    if isinstance(error, ExpclipError):
        return None
    said = _RUST.search(str(error))
    return int(said[1]) if said else None


def write_json(path: Path, content: Any, choose: str = CACHE) -> None:
    """Replace a JSON file; the new one is flushed to the disk before it appears under its name."""
    with new_file(path, choose) as temporary, temporary.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
    with writing(path, choose):
        fsync(path.parent)


def seal(content: dict[str, Any]) -> dict[str, Any]:
    """JSON-like content with a digest over all of it, by which a change is noticed."""
    return content | {_SEAL: digest(content)}


def unseal(content: dict[str, Any]) -> dict[str, Any]:
    """The content without its digest, which older files lack. Raises ValueError where it has a wrong one."""
    plain = {name: value for name, value in content.items() if name != _SEAL}
    if _SEAL in content and content[_SEAL] != digest(plain):
        raise ValueError("it changed since it was written: its digest is another one")
    return plain


def is_sealed(content: dict[str, Any]) -> bool:
    """Whether it carries a digest, as older files do not."""
    return _SEAL in content


def _temporary(final: Path, clears: bool = True) -> Path:
    """A path aside, whose folder is made where it is missing; what the dead left there is removed."""
    final.parent.mkdir(parents=True, exist_ok=True)
    if clears:
        clear(final)
    return beside(final)


@contextmanager
def new_file(final: Path, choose: str = CACHE, clears: bool = True) -> Iterator[Path]:
    """A temporary path whose file replaces the final one, flushed to the disk, when the block ends well.

    To clear up after the dead is to list the folder: who writes many files into it sweeps it once instead.
    """
    with writing(final, choose):
        temporary = _temporary(final, clears)
        try:
            yield temporary
            fsync(temporary)
            temporary.replace(final)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def write_new(final: Path, text: str) -> bool:
    """Write a small file where there is none; False where there is one, if only since this moment."""
    with writing(final):
        temporary = _temporary(final)
        try:
            temporary.write_text(text, encoding="utf-8")
            os.link(temporary, final)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS or not temporary.exists():
                raise
            return _written_first(final, text)
        finally:
            temporary.unlink(missing_ok=True)
    return True


def _written_first(final: Path, text: str) -> bool:
    """The same on a file system without links, where the file is there before all of its text is."""
    try:
        with final.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True


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
def new_folder(final: Path, choose: str = CACHE) -> Iterator[Path]:
    """A temporary folder that takes its final name when the block ends well.

    If another process finished first, its folder is kept.
    """
    with writing(final, choose):
        temporary = _temporary(final)
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


def discard(*paths: Path) -> None:
    """Remove files and folders in this order, none of which anybody sees a part of any more.

    All are moved aside before the first is emptied, which takes longer: the killed have removed all or none, almost.
    """
    moved: list[Path] = []
    try:
        for path in paths:
            clear(path)
            with writing(path), suppress(FileNotFoundError):  # another process was faster
                moved.append(path.rename(beside(path)))
                fsync(path.parent)
    finally:
        remove(moved)


def printable(text: str) -> str:
    """Text that every terminal and JSON file takes: file names may hold bytes that are not text."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
