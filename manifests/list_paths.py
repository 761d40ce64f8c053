"""Where below the root the files and folders are that a list names. Nothing that a list names may lie outside it."""

import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from ..errors import UsageError, option
from .list_lines import Entry

_TRIED = 20
"""How many paths of a list are looked for to learn how much of them is another machine's."""


def below_root(path: str, where: str, root: str = f"the list's folder or to {option('root')}") -> str:
    """A relative path without empty parts. Raises UsageError where it may lead out of the root."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or path.startswith("/") or ".." in parts or "\0" in path or path[1:2] == ":":
        raise UsageError(f"{where}: {path!r} does not lie below the root: make it relative to {root}, without `..`")
    return "/".join(parts)


def sources_of(entries: Sequence[Entry], root: Path, after: str = "", below: str = "") -> list[str]:
    """The path below the root of each entry of a list.

    Absolute paths may lie below the root. Of the paths of another machine what precedes and includes `after` is cut
    off, and the rest lies in the folder `below`; where people have put their own folder in its place, as many parts
    are cut off as leave something that is on disk, of all paths the same. Raises UsageError for other paths.
    """
    relative = _relative_to(root)
    found: dict[int, str] = {}
    edited: dict[int, list[str]] = {}
    for number, entry in enumerate(entries):
        path = entry.path.replace("\\", "/")
        _, cut, rest = path.rpartition(after) if after else ("", "", "")
        inside = None if cut else relative(path)
        if cut or (inside is None and not after):
            rest = rest if cut else path
            found[number] = f"{below}/{rest}" if below and not rest.startswith("/") else rest
        elif inside is not None:
            found[number] = inside
        else:
            edited[number] = [part for part in path.split("/") if part not in ("", ".")]
    if edited:
        found |= _without_own_prefix(edited, entries, root, after, below)
    return [below_root(found[number], entry.where) for number, entry in enumerate(entries)]


def _relative_to(root: Path) -> Callable[[str], str | None]:
    """What makes absolute paths below the root, as it is written or where its links lead, relative; else None."""
    real = os.path.realpath(root)
    prefixes = [f"{str(one).rstrip('/')}/" for one in (root, root.absolute(), real)]
    real_folder = cache(os.path.realpath)

    def relative(path: str) -> str | None:
        if not path.startswith("/") or "\0" in path or ".." in path.split("/"):
            return None
        folder, _, name = path.rpartition("/")
        for prefix in prefixes:
            if path.startswith(prefix):
                return path.removeprefix(prefix)
        resolved = f"{real_folder(folder)}/{name}"
        return resolved.removeprefix(prefixes[-1]) if resolved.startswith(prefixes[-1]) else None

    return relative


def _without_own_prefix(
    edited: dict[int, list[str]], entries: Sequence[Entry], root: Path, after: str, below: str
) -> dict[int, str]:
    """The paths without as many first parts as are another machine's, in the folder that holds most of the rest."""
    tried = list(edited.values())[:: max(1, len(edited) // _TRIED)]
    most, count, folder = 0, 0, ""
    for cut in range(max(map(len, tried))):
        for base in dict.fromkeys((below, "")):
            there = sum(_is_there(root, base, parts[cut:]) for parts in tried)
            if there > most:
                most, count, folder = there, cut, base
    found = {}
    for number, parts in edited.items():
        if not most or len(parts) <= count or ".." in parts:
            where, path = entries[number].where, entries[number].path
            raise UsageError(
                f"{where}: the path lacks {after!r}: is this the list of another data set? No part of {path!r} is "
                f"on disk below {root} either"
            )
        found[number] = "/".join([*([folder] if folder else []), *parts[count:]])
    return found


def _is_there(root: Path, base: str, parts: Sequence[str]) -> bool:
    return bool(parts) and ".." not in parts and os.path.lexists(os.path.join(root, base, *parts))  # noqa: PTH118
