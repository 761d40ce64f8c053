"""What is on disk below a root: images, frames of clips, and everything else."""

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import Literal

from ..errors import UsageError
from .animations import is_animated, is_picture_clip
from .own_output import STORES, is_drawn, output_in, own_folders, without_caches
from .remarks import remark

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".avif", ".apng", ".mpo"),
)
VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".wmv", ".flv", ".3gp")

_NUMBER = re.compile("[0-9]+")
_DIGITS = 20


def file_safe(text: str) -> str:
    """A text without characters that a file system may refuse in a name."""
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in text)


def short_name(name: str, most: int = 200) -> str:
    """A name of at most so many bytes, for files: of a longer one the beginning and a digest of all of it."""
    raw = name.encode("utf-8", "surrogateescape")
    if len(raw) <= most:
        return name
    return f"{raw[: most - 11].decode('utf-8', 'ignore')}-{hashlib.sha256(raw).hexdigest()[:10]}"


def distinct_names(names: Iterable[str]) -> list[str]:
    """Names of files of which no two are one, whatever the case of their letters: a number tells later ones apart."""
    taken: set[str] = set()
    return [free_name(name, taken) for name in names]


def free_name(name: str, taken: set[str]) -> str:
    """A name that is not taken yet; it is then."""
    several = (f"{name}-{number}" if number > 1 else name for number in count(1))
    free = next(one for one in several if one.casefold() not in taken)
    taken.add(free.casefold())
    return free


def is_image_name(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES)


def is_video_name(name: str) -> bool:
    return name.lower().endswith(VIDEO_SUFFIXES)


def holds_many(source: str) -> bool:
    """Whether a source is a file of many pictures, told apart by frame number: a video, a table, a picture clip."""
    return is_video_name(source) or source.endswith(".csv") or is_picture_clip(source)


def kind_of(path: Path) -> Literal["file", "folder", "missing", "other"]:
    """What a path leads to. Raises UsageError where the disk does not say."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "missing"
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"{path}: this path cannot be followed ({why}): correct it or its permissions") from error
    return "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "other"


def folders_in(place: Path) -> list[str]:
    """Names of the folders directly in a folder, in code-point order, without those that expclip wrote."""
    names = sorted(entry.name for entry in _visible(_entries(place)) if _is_folder(entry))
    own = own_folders(place, names)
    return [name for name in names if name not in own]


def files_in(place: Path) -> list[str]:
    """Names of everything directly in a folder except folders, in code-point order."""
    return sorted(entry.name for entry in _visible(_entries(place)) if not _is_folder(entry))


def walk(root: Path, subset: str = "", videos: bool = False) -> tuple[list[str], list[str]]:
    """Relative paths of the images below `<root>/<subset>` in code-point order, and remarks on what was left out.

    With `videos` these are included. Links are followed, but no folder is read twice: real folders are read before
    those that links lead to. What expclip wrote is no data.
    """
    files: list[str] = []
    again: list[str] = []
    written: list[str] = []
    stores: list[str] = []
    seen: set[tuple[int, int]] = set()
    start = str(Path(subset)) if Path(subset).parts else ""
    folders, links = [start], []
    while folders or links:
        if not folders:
            links.sort(reverse=True)
        folder = (folders or links).pop()
        status = (root / folder).stat()
        if (status.st_dev, status.st_ino) in seen:
            again.append(folder)
            continue
        seen.add((status.st_dev, status.st_ino))
        entries = _entries(root / folder)
        what = output_in({entry.name for entry in entries}) or is_drawn(folder)
        if what and folder != start:
            (stores if what == STORES else written).append(folder)
            continue
        for entry in _visible(entries):
            path = f"{folder}/{entry.name}" if folder else entry.name
            if not _is_folder(entry):
                files.append(path)
            else:
                (links if entry.is_symlink() else folders).append(path)
    data, written = without_caches(files, written, stores)
    images = [path for path in data if is_image_name(path) or (videos and is_video_name(path))]
    return sorted(images), _left_out(sorted(set(data) - set(images)), sorted(again), written, videos)


def _left_out(others: list[str], again: list[str], written: list[str], videos: bool) -> list[str]:
    """Remarks on what is no data."""
    one, many = (
        ("neither an image nor a video", "neither images nor videos") if videos else ("not an image", "not images")
    )
    return [
        *remark(others, f"file is {one} by name and was left out", f"files are {many} by name and were left out"),
        *remark(
            again,
            "link leads to a folder that has already been read",
            "links lead to folders that have already been read",
        ),
        *remark(
            written, "folder with expclip's own output was skipped", "folders with expclip's own output were skipped"
        ),
    ]


def holds_only_videos(root: Path) -> bool:
    """Whether there are videos but no still images below a folder."""
    files, _ = walk(root, videos=True)
    others = [file for file in files if not is_video_name(file)]
    return len(others) < len(files) and all(is_animated(root / file) for file in others)


def frames_in(root: Path, source: str) -> tuple[list[str], str]:
    """Names of the frames in a clip's folder in code-point order, and why it cannot be read although it is there."""
    try:
        with os.scandir(f"{root}/{source}") as entries:
            names = [e.name for e in entries if is_image_name(e.name) and e.name[0] != "." and e.is_file()]
    except (FileNotFoundError, NotADirectoryError):
        return [], ""
    except OSError as error:
        return [], error.strerror or str(error)
    return sorted(names), ""


def by_number(names: Sequence[str]) -> list[str]:
    """Names in the order of the numbers in them: 1, 2, …, 10; with leading zeros that is their order as text."""
    if len({len(name) for name in names}) < 2:
        return sorted(names)
    return sorted(names, key=lambda name: (_NUMBER.sub(lambda found: found[0].zfill(_DIGITS), name), name))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except NotADirectoryError as error:
        raise UsageError(f"{folder}: not a folder but a file: give the folder that holds it") from error
    except OSError as error:
        raise UsageError(
            f"{folder}: the folder cannot be read ({error.strerror}): correct its permissions"
        ) from error


def _visible(entries: Sequence[os.DirEntry[str]]) -> list[os.DirEntry[str]]:
    """Without hidden files and those that macOS adds."""
    return [entry for entry in entries if not entry.name.startswith((".", "__MACOSX"))]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # for example a link to itself: reading it as an image will say so
        return False
