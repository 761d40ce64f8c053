"""A digest of what says the labels of a data set: cheap to make, and another one where a label may have changed."""

import hashlib
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from ..errors import UsageError, reason
from ..untrusted import open_file
from .catalogue import DataSetRef
from .disk import folders_in, kind_of, walk
from .layouts import find_layout
from .list_lines import MOST_BYTES
from .manifest import Manifest, size_of

_LOOKED_FOR = 200
_BY_FOLDERS = ("image-folder", "clip-folder", "plain-folder")


def stamp(ref: DataSetRef, root: Path) -> str:
    """SHA-256 of the lists or of the names of files and folders that say the labels. No picture is looked at.

    `root` is the folder of the files. Raises UsageError where lists or folders cannot be reached.
    """
    if ref.path is not None:
        is_list = kind_of(ref.path) == "file"
        parts = _content([ref.path]) if is_list else _names(ref.path)
        return _digest(parts)
    layout, found = find_layout(ref, root)
    which = f"{layout.reader} {layout.path}"
    if layout.reader in _BY_FOLDERS:
        return _digest(_names(root, layout.path), which)
    if layout.reader == "label-arrays":
        return _digest(_arrays(root / layout.path), which)
    return _digest(_content([path for path, _ in found]), which)


def _digest(parts: Iterator[bytes], which: str = "") -> str:
    sha = hashlib.sha256(which.encode())
    for part in parts:
        sha.update(len(part).to_bytes(8, "big") + part)
    return sha.hexdigest()


def _content(lists: list[Path]) -> Iterator[bytes]:
    for path in lists:
        try:
            with open_file(path) as file:
                yield file.read(MOST_BYTES + 1)  # of which none is read as a list
        except (OSError, ValueError) as error:
            raise UsageError(f"{path}: the list file cannot be read ({reason(error)})") from error


def _names(root: Path, subset: str = "") -> Iterator[bytes]:
    if kind_of(root / subset) != "folder":
        raise UsageError(f"{root / subset}: there is no such folder")
    yield from (os.fsencode(name) for name in folders_in(root / subset))
    yield from (os.fsencode(name) for name in walk(root, subset, videos=True)[0])


def _arrays(folder: Path) -> Iterator[bytes]:
    """Names, sizes and times of many small files, which are read only where one of these changed."""
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            status = entry.stat()
            yield f"{entry.name}\0{status.st_size}\0{status.st_mtime_ns}".encode("utf-8", "surrogateescape")


def any_here(manifest: Manifest, root: Path) -> bool:
    """Whether files of a data set are below a folder; of many, some are looked for."""
    sources = manifest.rows.sources
    return any((root / source).exists() for source in sources[:: max(1, len(sources) // _LOOKED_FOR)])


def files_changed(manifest: Manifest, root: Path, since: datetime) -> bool:
    """Whether pictures are others than a manifest says: by sizes, or where it has their contents by times.

    The frames of clips are not looked at: there are many, and `extract` reads them.
    """
    if manifest.kind != "images":
        return False
    sizes = dict(zip(manifest.rows.sources, manifest.rows.sizes.tolist(), strict=True))
    if not manifest.origin.has_contents:
        return any(size_of(root, source) != size for source, size in sizes.items())
    return any(_changed_at(root / source) > since.timestamp() for source in sizes)


def _changed_at(path: Path) -> float:
    """When a file was written or put where it is; 0 where it is not there."""
    try:
        status = path.stat()
    except OSError:
        return 0.0
    return max(status.st_mtime, status.st_ctime)
