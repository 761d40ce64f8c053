"""Faces that are looked for first: crops below a folder, and lists of them, which are data sets like any other."""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ...cache.files import new_file
from ...cache.run_note import OUT
from ...commands.crop import ALL, CROPPED, Crop, CropFaces
from ...commands.predict import Predict
from ...errors import UsageError, option
from ...manifests.disk import distinct_names, file_safe, is_video_name, kind_of, short_name, walk
from ..crop.crop import crop_files

FACES = "faces"
"""The folder of crops below that of the results."""
_NO_CLASS = "-1"


@dataclass(frozen=True)
class Found:
    """What is predicted of one file: one of its faces, all frames of a video with a face, or why there is none."""

    source: Path
    crops: tuple[Crop, ...]
    """One of an image; of a video those of its frames."""

    @property
    def error(self) -> str:
        """Why nothing can be predicted; empty where something can."""
        return "" if self.crops[0].outcome == CROPPED else self.crops[0].why


@dataclass(frozen=True)
class Faces:
    """The faces of all pictures, in order, and the lists that name their crops."""

    found: tuple[Found, ...]
    lists: dict[str, tuple[int, ...]]
    """By the path of a list: the places in `found` of what its lines are."""


def find_faces(request: Predict) -> Faces:
    """Cut out the faces of all that is asked for. Raises UsageError for what is neither a folder nor a picture."""
    assert request.out is not None
    every: list[Found] = []
    lists: dict[str, tuple[int, ...]] = {}
    groups = list(_groups(request.paths))
    names = distinct_names(short_name(file_safe(root.name) or "root") for root, _ in groups)
    for name, (root, files) in zip(names, groups, strict=True):
        out = request.out / FACES / name
        how = {"detector": request.detector, "margin": request.margin, "workers": request.workers}
        wanted = CropFaces(root, out=out, face=ALL, max_megapixels=request.max_megapixels, **how)
        found = list(_found(root, crop_files(wanted, files).crops))
        for kind in ("images", "videos"):
            places = [k for k, one in enumerate(found) if not one.error and _kind(one) == kind]
            if places:
                path = out / f"{kind}.txt"
                with new_file(path, OUT) as temporary:
                    temporary.write_text("".join(_line(found[k]) for k in places), encoding="utf-8")
                lists[str(path)] = tuple(len(every) + k for k in places)
        every += found
    if not lists:
        raise UsageError(
            f"{', '.join(request.paths)}: no face was found ({every[0].error}): predict whole pictures without "
            f"{option('crop')}, or choose another {option('detector')}"
        )
    return Faces(tuple(every), lists)


def _groups(paths: Sequence[str]) -> Iterator[tuple[Path, list[str]]]:
    """Folders with their images and videos; files that are given one by one are those of the folder above them."""
    single: list[Path] = []
    for text in dict.fromkeys(paths):
        kind = kind_of(Path(text))
        if kind == "folder":
            files, _ = walk(Path(text), videos=True)
            if not files:
                raise UsageError(f"{text}: there are no images or videos here: choose the folder that holds them")
            yield Path(text).absolute(), files
        elif kind == "file":
            single.append(Path(text).absolute())
        else:
            raise UsageError(f"{text}: {option('crop')} looks into folders, images and videos: there is no such path")
    if single:
        root = Path(os.path.commonpath([path.parent for path in single]))
        yield root, [path.relative_to(root).as_posix() for path in single]


def _found(root: Path, crops: Sequence[Crop]) -> Iterator[Found]:
    """Of each file its faces, or all frames of a video that have one, or the first line that says why none has."""
    by_file: dict[str, list[Crop]] = defaultdict(list)
    for one in crops:
        by_file[one.path].append(one)
    for path, some in by_file.items():
        cropped = [one for one in some if one.outcome == CROPPED]
        if not cropped:
            yield Found(root / path, (some[0],))
        elif is_video_name(path):
            yield Found(root / path, tuple(cropped))
        else:
            yield from (Found(root / path, (one,)) for one in cropped)


def _kind(found: Found) -> str:
    return "videos" if is_video_name(found.source.name) else "images"


def _line(found: Found) -> str:
    """A line of a list of crops, without a class."""
    first = found.crops[0].cut
    if _kind(found) == "images":
        return f"{first} {_NO_CLASS}\n"
    return f"{PurePosixPath(first).parent} {len(found.crops)} {_NO_CLASS}\n"
