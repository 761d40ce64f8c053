"""What a cache notes of each of its data sets: what it is called, where and when it was read."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import ExpclipError
from ..manifests.manifest import Manifest, Origin
from .files import read_json, seal, unseal, write_json, write_new

CURRENT = "current.json"


@dataclass(frozen=True)
class Entry:
    """One data set of a cache."""

    folder: str
    title: str
    manifest: str
    """The name of its current manifest's folder."""
    root: str
    """Where its files are, as it was given; empty where that is unknown."""
    origin: Origin
    """Without a path where it was imported, and where an older version wrote it, which did not note its path."""

    @property
    def where(self) -> str:
        """What tells it from others of its title, for people."""
        return self.origin.path or self.root or "imported"

    @property
    def described(self) -> str:
        """The same, and of a list the folder of its files."""
        is_list = self.origin.path not in ("", self.origin.root)
        return f"{self.where} with files in {self.root}" if is_list else self.where


def read_entry(folder: Path) -> Entry | None:
    """What is noted of a data set's folder; None where nothing is, or it is half-written."""
    return _entry(folder, _unsealed(read_json(folder / CURRENT)))


def changed_entry(folder: Path) -> Entry | None:
    """What a note says that changed since it was written: anything of it may be wrong; None where it says nothing."""
    return _entry(folder, read_json(folder / CURRENT))


def _entry(folder: Path, content: Any) -> Entry | None:
    file = folder / CURRENT
    needed = [content.get(key) for key in ("manifest", "root")] if isinstance(content, dict) else [None]
    if not isinstance(content, dict) or not all(isinstance(value, str) and "\0" not in value for value in needed):
        return None
    if not re.fullmatch(r"manifest-[^/\\]+\.zarr", content["manifest"]):
        return None

    def noted(key: str) -> str:
        value = content.get(key, "")
        return value if isinstance(value, str) else ""

    read = noted("read")
    if not _is_date(read):
        read = datetime.fromtimestamp(file.stat().st_mtime, UTC).isoformat(timespec="seconds")
    where = {"path": noted("path"), "root": noted("resolved_root"), "folder": folder.name}
    how: dict[str, Any] = {"has_contents": content.get("has_contents") is True, "order": noted("order") or None}
    numbers = content.get("numbers")
    how["numbers"] = tuple(map(str, numbers)) if isinstance(numbers, list) else ()
    origin = Origin(**where, stamp=noted("stamp"), read=read, **how)
    return Entry(folder.name, noted("title") or folder.name, content["manifest"], content["root"], origin)


def _unsealed(content: Any) -> Any:
    """What a note says; None where it changed since it was written."""
    try:
        return unseal(content) if isinstance(content, dict) else content
    except ValueError:
        return None


def _is_date(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def write_entry(folder: Path, manifest: Manifest, name: str) -> None:
    """Note that a manifest, kept under a name, is the current one of a data set."""
    origin = manifest.origin
    current: dict[str, Any] = {
        "manifest": name,
        "root": manifest.root,
        "title": manifest.name,
        "path": origin.path,
        "resolved_root": origin.root,
        "stamp": origin.stamp,
        "has_contents": origin.has_contents,
        "numbers": list(origin.numbers),
        "order": origin.order or "",
    }
    noted = _unsealed(read_json(folder / CURRENT))
    known = {key: noted.get(key) for key in current} if isinstance(noted, dict) else None
    if known == current:
        return
    current["read"] = datetime.now(UTC).isoformat()
    is_new = not (folder / CURRENT).exists()
    current = seal(current)
    if not is_new or not write_new(folder / CURRENT, json.dumps(current, indent=1)):
        other = read_entry(folder)
        if other is not None and other.origin.path and other.origin.identity != origin.identity:
            raise ExpclipError(
                f"{folder}: another process has begun a data set of this title, {other.where}: run the command again"
            )
        write_json(folder / CURRENT, current)
