"""What lies in the place of a file that was not fetched whole."""

from pathlib import Path

from ..errors import UsageError

_LFS = b"version https://git-lfs.github.com/spec/"
_PAGES = (b"<!doctype html", b"<html")
_APPLE_DOUBLE = b"\x00\x05\x16\x07"
HEAD = 64
"""How many of a file's first bytes tell what it is."""


def stand_in(head: bytes) -> str:
    """What a file is by its first bytes, if it only stands for another, and what to do; else ""."""
    if head.startswith(_LFS):
        return "this is a git-lfs pointer, not the file itself: run `git lfs pull`"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_PAGES):
        return "this is a web page, not the file itself: download it again"
    if head.startswith(_APPLE_DOUBLE):
        return "this holds what macOS notes of another file: remove it"
    return ""


def refuse_stand_in(path: Path) -> None:
    """Raise UsageError for a file that only stands for another. One that cannot be opened is left to its reader."""
    try:
        with path.open("rb") as file:
            other = stand_in(file.read(HEAD))
    except OSError:
        return
    if other:
        raise UsageError(f"{path}: {other}")
