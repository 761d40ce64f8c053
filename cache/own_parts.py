"""What expclip itself puts into the folder of a data set: whatever else lies there is somebody's, and stays.

A cache may lie in a folder of pictures, where the folder of a data set is the one of its pictures.
"""

import re
from pathlib import Path

from ..aside import is_temporary
from .entries import CURRENT

_PART = re.compile(r"[a-z_]+-(?:.+-)?[0-9a-f]{12}\.zarr|.+\.receipts", re.DOTALL)


def is_part(name: str) -> bool:
    """Whether a manifest, a store, its receipts or the note of a data set is called so."""
    return name == CURRENT or _PART.fullmatch(name) is not None


def parts_of(folder: Path) -> list[Path]:
    """What is ours in the folder of a data set: the folder itself where it is a link, or holds nothing else."""
    if folder.is_symlink():
        return [folder]
    inside = sorted(folder.iterdir())
    ours = [path for path in inside if is_part(path.name) or is_temporary(path.name)]
    return ours if len(ours) < len(inside) else [folder]
