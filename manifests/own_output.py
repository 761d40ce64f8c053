"""Which folders expclip wrote itself: caches, results and figures below a data set are not data.

They carry a marker. Older ones have none and are known by what they hold. Faces that were cropped or drawn are data:
their folders are never marked.
"""

import json
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from .. import __version__
from ..aside import beside, clear

MARKER = ".expclip-output"
"""A small JSON file in a folder that holds nothing but what expclip wrote."""
STORES = "stores"

_RESULTS = {"scores.csv", "confusion.npz", "tables.md"}
_RESULTS_FOLDER = "figures"
_FIGURES = ("confusion-", "samples-", "variance-", "tsne-", "retrieval-")
_FIGURE_SUFFIXES = (".png", ".pdf")
_PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".mp4", ".avi", ".mov", ".mkv")
_FOLDERS_BESIDE_STORES = ("builtin", "heads", "text")
_FILE_BESIDE_STORES = "weights.json"


def mark_output(folder: Path, what: str) -> bool:
    """Mark a folder as what expclip wrote, for example as `results`; False where other things lie in it too.

    To be called as often as needed, before or after writing. Raises OSError where the disk refuses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    marker = folder / MARKER
    if os.path.lexists(marker):
        return True
    if not may_be_marked(folder):
        return False
    clear(marker)
    temporary = beside(marker)
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(json.dumps(maker(what)) + "\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(marker)
    finally:
        temporary.unlink(missing_ok=True)
    return True


def maker(what: str) -> dict[str, Any]:
    """What every marker says: who wrote the folder, and what is in it."""
    return {"made_by": "expclip", "version": __version__, "what": what}


def may_be_marked(folder: Path) -> bool:
    """Whether nothing lies in a folder but what expclip wrote; True for one that is marked, empty or missing."""
    if not folder.exists() or os.path.lexists(folder / MARKER):
        return True
    visible = {path.name for path in folder.iterdir() if path.name[0] != "."}
    return visible <= {*_FOLDERS_BESIDE_STORES, _FILE_BESIDE_STORES} or is_own_output(folder)


def is_own_output(folder: Path) -> bool:
    """Whether a folder is marked, or all that it holds is a cache or a part of one, results or figures.

    No file is opened, and a folder that directly holds other pictures is known at the first of them.
    """
    if os.path.lexists(folder / MARKER):
        return True
    names: dict[str, os.DirEntry[str]] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if _is_foreign(entry.name):
                    return False
                names[entry.name] = entry
        return bool(output_in(names)) or _is_cache(names.values())
    except OSError:  # whoever reads it will say so
        return False


def own_folders(place: Path, names: Sequence[str]) -> set[str]:
    """Which of the folders in a folder expclip wrote."""
    own = {name for name in names if is_own_output(place / name)}
    is_cache = any(_holds_stores([path.name for path in (place / name).iterdir()]) for name in own)
    return own | (set(_FOLDERS_BESIDE_STORES) if is_cache else set())


def output_in(names: Collection[str]) -> str:
    """What expclip wrote into a folder with these names: `stores`, `results`, `figures`, something marked, or ""."""
    if MARKER in names:
        return "output"
    if any(map(_is_foreign, names)):
        return ""
    if _holds_stores(names):
        return STORES
    visible = {name for name in names if name[0] != "."}
    if visible >= _RESULTS and all("." in name or name == _RESULTS_FOLDER for name in visible):
        return "results"
    return "figures" if visible and all(_is_figure(name, visible) for name in visible) else ""


def older_figures(folder: Path) -> list[str]:
    """The files that `figures` drew into a folder in which nothing is noted of it."""
    names = {path.name for path in folder.iterdir()}
    return [name for name in names if _is_figure(name, names)]


def _is_figure(name: str, names: Collection[str]) -> bool:
    """Whether a file is called as a figure of ours, and is there in both formats."""
    return name.startswith(_FIGURES) and all(name.rpartition(".")[0] + end in names for end in _FIGURE_SUFFIXES)


def is_drawn(folder: str) -> bool:
    """Whether a folder below a data set is one in which built-in faces are drawn, `builtin/faces-test-v4`."""
    above, _, last = folder.rpartition("/")
    name, _, version = last.rpartition("-v")
    return above.rpartition("/")[2] == "builtin" and name.startswith("faces-") and version.isdigit()


def without_caches(files: list[str], written: list[str], stores: Sequence[str]) -> tuple[list[str], list[str]]:
    """The files that do not lie in a cache, and all folders that expclip wrote, caches as one; paths are relative.

    `stores` are the folders of caches that hold stores: what a cache keeps beside them goes with them.
    """
    caches = {folder.rpartition("/")[0] for folder in stores}
    beside = tuple(f"{cache}/{name}/".lstrip("/") for cache in caches for name in _FOLDERS_BESIDE_STORES)
    lists = {f"{cache}/{_FILE_BESIDE_STORES}".lstrip("/") for cache in caches}
    if caches:
        files = [path for path in files if path not in lists and not path.startswith(beside)]
        written = [path for path in written if not f"{path}/".startswith(beside)]
    return files, sorted({*written, *(folder.rpartition("/")[0] or folder for folder in stores)})


def _is_foreign(name: str) -> bool:
    """Whether this is a picture that expclip did not draw."""
    return name.lower().endswith(_PICTURES) and not (name.startswith(_FIGURES) and name.endswith(_FIGURE_SUFFIXES))


def _holds_stores(names: Collection[str]) -> bool:
    """Whether this is a cache's folder of one data set."""
    groups = [name for name in names if name.endswith(".zarr")]
    return any(name.startswith("manifest-") for name in groups) or ("current.json" in names and bool(groups))


def _is_cache(entries: Collection[os.DirEntry[str]]) -> bool:
    """Whether these are the entries of a cache: folders with stores, what lies beside them, and nothing else."""
    beside = (*_FOLDERS_BESIDE_STORES, _FILE_BESIDE_STORES)
    others = [entry for entry in entries if entry.name[0] != "." and entry.name not in beside]
    return bool(others) and all(
        entry.is_dir() and _holds_stores([path.name for path in Path(entry).iterdir()]) for entry in others
    )
