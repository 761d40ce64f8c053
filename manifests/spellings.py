"""Files that a list names and the disk has in another spelling: in other cases, or with accents written otherwise."""

import os
import unicodedata
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

from .remarks import count_of

_WHAT_TO_DO = "rename it on the disk, or write it in the list as the disk has it"


def spelled_otherwise(root: Path, sources: Iterable[str]) -> list[str]:
    """A remark on the missing files of a data set that are there under another spelling. They are not taken."""
    found = other_spellings(root, sources)
    if not found:
        return []
    count = count_of(len(found), "file is missing, but is there", "files are missing, but are there")
    source, there = next(iter(found.items()))
    return [f"{count} in another spelling (first: {described(source, there)}): {_WHAT_TO_DO}"]


def other_spellings(root: Path, sources: Iterable[str]) -> dict[str, str]:
    """The path that the disk has of each missing file, where it has one in another spelling."""
    names = _names_of()
    found = {source: _spelling(root, source, names) for source in dict.fromkeys(map(_of_disk, sources))}
    return {source: there for source, there in found.items() if there not in ("", source)}


def described(source: str, there: str) -> str:
    """What a list says and what the disk has; accents are shown by their codes where the two look the same."""
    if unicodedata.normalize("NFC", source) == unicodedata.normalize("NFC", there):
        return f"the list has {source!a}, the disk {there!a}"
    return f"the list has {source}, the disk {there}"


def _of_disk(source: str) -> str:
    """The path of a source on disk; of a frame that a clip lacks the clip's folder."""
    return source.rpartition("/<frame ")[0] or source.rstrip("/")


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _names_of() -> Callable[[str], dict[str, str]]:
    """What gives the names in a folder by what is the same of all their spellings; each folder is read once."""

    @cache
    def names(folder: str) -> dict[str, str]:
        try:
            return {_folded(name): name for name in sorted(os.listdir(folder), reverse=True)}  # noqa: PTH208
        except OSError:
            return {}

    return names


def _spelling(root: Path, source: str, names: Callable[[str], dict[str, str]]) -> str:
    at = str(root)
    for part in source.split("/"):
        name = part if os.path.lexists(f"{at}/{part}") else names(at).get(_folded(part))
        if name is None:
            return ""
        at = f"{at}/{name}"
    return at.removeprefix(f"{root}/")
