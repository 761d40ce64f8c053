"""What is on disk below a root: images, frames of clips, and everything else."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from ..errors import UsageError

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".jp2"),
)
VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".wmv", ".flv", ".3gp")


def is_image_name(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES)


def is_video_name(name: str) -> bool:
    return name.lower().endswith(VIDEO_SUFFIXES)


def holds_many(source: str) -> bool:
    """Whether a source is a file of many pictures, told apart by frame number: a video or a table of pixels."""
    return is_video_name(source) or source.endswith(".csv")


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
    """Names of the folders directly in a folder, in code-point order."""
    return sorted(entry.name for entry in _entries(place) if _is_folder(entry))


def files_in(place: Path) -> list[str]:
    """Names of everything directly in a folder except folders, in code-point order."""
    return sorted(entry.name for entry in _entries(place) if not _is_folder(entry))


def walk(root: Path, subset: str = "", videos: bool = False) -> tuple[list[str], list[str]]:
    """Relative paths of the images below `<root>/<subset>` in code-point order, and remarks on what was left out.

    With `videos` these are included. Links are followed, but no folder is read twice: real folders are read before
    those that links lead to.
    """
    images: list[str] = []
    others: list[str] = []
    again: list[str] = []
    seen: set[tuple[int, int]] = set()
    folders, links = [str(Path(subset)) if Path(subset).parts else ""], []
    while folders or links:
        if not folders:
            links.sort(reverse=True)
        folder = (folders or links).pop()
        status = (root / folder).stat()
        if (status.st_dev, status.st_ino) in seen:
            again.append(folder)
            continue
        seen.add((status.st_dev, status.st_ino))
        for entry in _entries(root / folder):
            path = f"{folder}/{entry.name}" if folder else entry.name
            if _is_folder(entry):
                (links if entry.is_symlink() else folders).append(path)
            else:
                is_wanted = is_image_name(entry.name) or (videos and is_video_name(entry.name))
                (images if is_wanted else others).append(path)
    kinds = "neither images nor videos" if videos else "not images"
    remarks = _left_out(others, f"files are {kinds} by name and were left out")
    return sorted(images), remarks + _left_out(again, "links lead to folders that have already been read")


def holds_only_videos(root: Path) -> bool:
    """Whether there are videos but no images below a folder."""
    files, _ = walk(root, videos=True)
    return bool(files) and all(map(is_video_name, files))


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


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder, without hidden files and those that macOS adds."""
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith((".", "__MACOSX"))]
    except NotADirectoryError as error:
        raise UsageError(f"{folder}: not a folder but a file: give the folder that holds it") from error
    except OSError as error:
        raise UsageError(
            f"{folder}: the folder cannot be read ({error.strerror}): correct its permissions"
        ) from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # for example a link to itself: reading it as an image will say so
        return False


def _left_out(paths: Sequence[str], what: str) -> list[str]:
    return [f"{len(paths)} {what} (first: {min(paths)})"] if paths else []
