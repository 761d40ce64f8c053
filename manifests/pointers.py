"""Where the data set is, when a folder was given that lies just above or below it."""

from pathlib import Path

from ..errors import UsageError, one_of
from .class_folders import looks_like_image_folder
from .classes import class_index
from .disk import folders_in, kind_of

_MOST_CHILDREN = 50
"""A folder with more folders in it than this holds samples, not parts of a data set."""


def pointer(path: Path) -> str:
    """Which folder to give in place of one that has no labels, as a sentence; "" where none is known.

    A folder below it with class folders, or the folder above it where it is itself the folder of one class.
    """
    try:
        if kind_of(path) != "folder" or looks_like_image_folder(path):
            return ""
        parts = [path / name for name in _children(path) if looks_like_image_folder(path / name)]
        if parts:
            have = "has" if len(parts) == 1 else "have"
            return f"no labels here, but {' and '.join(map(str, parts))} {have} class folders: give {one_of(parts)}"
        above = path.absolute().parent
        if class_index(path.absolute().name) is not None and looks_like_image_folder(above):
            return f"no labels here, but {above} has class folders, of which this is one: give {above}"
    except UsageError:  # a folder that may not be read points nowhere
        pass
    return ""


def nearby(root: Path) -> list[Path]:
    """The folder above a root, and those in it: where else a data set may be."""
    try:
        return [root.parent, *(root / name for name in _children(root))]
    except UsageError:
        return []


def _children(folder: Path) -> list[str]:
    names = folders_in(folder)
    return names if len(names) <= _MOST_CHILDREN else []
