"""What lies in the place of a file that was not fetched whole."""

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
