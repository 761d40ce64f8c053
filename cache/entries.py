"""What a cache notes of each of its data sets: what it is called, where and when it was read."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..manifests.manifest import Manifest, Origin
from .files import read_json, write_json

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


def read_entry(folder: Path) -> Entry | None:
    """What is noted of a data set's folder; None where nothing is, or it is half-written."""
    file = folder / CURRENT
    content = read_json(file)
    if not isinstance(content, dict) or not all(isinstance(content.get(key), str) for key in ("manifest", "root")):
        return None

    def noted(key: str) -> str:
        value = content.get(key, "")
        return value if isinstance(value, str) else ""

    read = noted("read") or datetime.fromtimestamp(file.stat().st_mtime, UTC).isoformat(timespec="seconds")
    where = {"path": noted("path"), "root": noted("resolved_root"), "folder": folder.name}
    how: dict[str, Any] = {"has_contents": content.get("has_contents") is True, "order": noted("order") or None}
    numbers = content.get("numbers")
    how["numbers"] = tuple(map(str, numbers)) if isinstance(numbers, list) else ()
    origin = Origin(**where, stamp=noted("stamp"), read=read, **how)
    return Entry(folder.name, noted("title") or folder.name, Path(content["manifest"]).name, content["root"], origin)


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
    noted = read_json(folder / CURRENT)
    known = {key: noted.get(key) for key in current} if isinstance(noted, dict) else None
    if known != current:
        write_json(folder / CURRENT, current | {"read": datetime.now(UTC).isoformat(timespec="seconds")})
