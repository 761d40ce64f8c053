"""From folders and list files to manifests.

Three forms are read: an image folder (`<class>/*`), a plain folder of images without labels, and a list file with
lines `path n_frames label`. Nothing that a list names may lie outside the root.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..errors import UsageError
from .classes import CLASSES, class_index, smallest_class_set
from .frames import DEFAULT_POLICIES
from .manifest import NO_FOLD, NO_LABEL, NOT_ON_DISK, File, Manifest, Sample, clip_manifest, image_manifest

IMAGE_SUFFIXES = frozenset(
    [".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm", ".jp2"]
)


def is_image_name(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


def looks_like_image_folder(root: Path) -> bool:
    """True where at least one folder below the root is named after a class and none of the images lie beside it."""
    entries = _visible(root)
    folders = [entry.name for entry in entries if entry.is_dir()]
    images = [entry.name for entry in entries if entry.is_file() and is_image_name(entry.name)]
    return not images and any(class_index(name) is not None for name in folders)


def read_image_folder(name: str, root: Path, classes: Sequence[str] | None = None, subset: str = "") -> Manifest:
    """Labelled images in one folder a class: `<root>/<subset>/<class name, synonym or index>/**/image`.

    Raises UsageError for a folder that names no class of the data set.
    """
    folders = sorted(entry.name for entry in _visible(root / subset) if entry.is_dir())
    labels = {folder: _folder_label(folder, folders, root / subset) for folder in folders}
    classes = classes or smallest_class_set(list(labels.values()))
    samples: list[Sample] = []
    remarks: list[str] = []
    for folder, label in sorted(labels.items(), key=lambda item: (item[1], item[0])):
        if label >= len(classes):
            raise UsageError(
                f"{root / subset / folder}: {name} has {len(classes)} classes "
                f"and {CLASSES[label]} is not one of them: remove the folder"
            )
        images, others = _walk(root, PurePosixPath(subset) / folder)
        samples += [Sample(source, source, label) for source in images]
        remarks += _left_out(others)
    return image_manifest(name, classes, samples, root, remarks=remarks)


def read_plain_folder(name: str, root: Path, subset: str = "") -> Manifest:
    """Every image below `<root>/<subset>`, without labels, in code-point order of the relative paths."""
    images, others = _walk(root, PurePosixPath(subset))
    samples = [Sample(source, source) for source in images]
    return image_manifest(name, (), samples, root, remarks=_left_out(others))


@dataclass(frozen=True)
class ListForm:
    """How the lines of a data set's list files are to be read."""

    labels: Mapping[str, str] | None = None
    """The data set's own label numbers or words, by class name; None where they are names or common indices."""
    after: str = ""
    """What precedes the part of each path that counts, such as "DFEW_Frame_Face/"."""
    below: str = ""
    """Folder below the root in which that part lies."""


def read_list_files(
    name: str,
    root: Path,
    lists: Sequence[tuple[Path, int]],
    classes: Sequence[str] | None = None,
    form: ListForm | None = None,
    policies: Iterable[str] = DEFAULT_POLICIES,
) -> Manifest:
    """Samples of one or more (list file, fold) pairs with lines `path n_frames label`.

    Lines are parsed from the right, so that paths may hold spaces. The number of frames comes from the list: fewer
    files on disk are rows that fail, more are a remark. Raises UsageError with file and line for what cannot be read.
    """
    form = form or ListForm()
    samples = [sample for path, fold in lists for sample in _read_list(path, fold, form, classes)]
    classes = classes or smallest_class_set([sample.label for sample in samples])
    are_images = [is_image_name(sample.source) for sample in samples]
    if any(are_images) and not all(are_images):
        folder = samples[are_images.index(False)].source
        raise UsageError(f"{lists[0][0]}: images and clip folders are mixed (for example {folder})")
    if all(are_images):
        return image_manifest(name, classes, samples, root)
    remarks: list[str] = []
    return clip_manifest(name, classes, samples, root, _frame_lister(root, remarks.append), policies, remarks=remarks)


def read_name_label_list(
    name: str,
    root: Path,
    list_file: Path,
    classes: Sequence[str],
    source_of: Callable[[str], str | None],
    form: ListForm,
) -> Manifest:
    """Images from lines `name label`, as RAF-DB distributes them; `source_of(name)` is None for other splits."""
    samples = []
    for number, line in _lines(list_file):
        image, _, word = line.rpartition(" ")
        source = source_of(image)
        if source is not None:
            where = f"{list_file}:{number}"
            samples.append(Sample(source, _inside(source, where), _label(word, form, classes, where)))
    return image_manifest(name, classes, samples, root)


def _read_list(path: Path, fold: int, form: ListForm, classes: Sequence[str] | None) -> list[Sample]:
    samples = []
    for number, line in _lines(path):
        where = f"{path}:{number}"
        parts = line.rsplit(maxsplit=2)
        if len(parts) != 3 or not (parts[1].isascii() and parts[1].isdigit()):
            raise UsageError(f"{where}: expected `path n_frames label`, found {line!r}")
        if int(parts[1]) < 1:
            raise UsageError(f"{where}: a clip has at least one frame, found {parts[1]}")
        source = _below(parts[0], form, where)
        label = _label(parts[2], form, classes, where)
        samples.append(Sample(source, source, label, fold or NO_FOLD, int(parts[1])))
    return samples


def _below(path: str, form: ListForm, where: str) -> str:
    """The path below the root of a path in a list, which may come from another machine."""
    path = path.replace("\\", "/")
    if form.after:
        _, found, path = path.rpartition(form.after)
        if not found:
            raise UsageError(f"{where}: the path holds no {form.after!r}")
    return _inside(str(PurePosixPath(form.below) / path) if form.below else path, where)


def _inside(path: str, where: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\0" in path or (len(path) > 1 and path[1] == ":"):
        raise UsageError(f"{where}: {path!r} does not lie below the root: make it relative, without `..`")
    return str(PurePosixPath(*parts))


def _label(word: str, form: ListForm, classes: Sequence[str] | None, where: str) -> int:
    if form.labels is not None:
        name = form.labels.get(word)
        if name is None:
            raise UsageError(f"{where}: label {word!r} is none of {', '.join(form.labels)}")
        return CLASSES.index(name)
    label = NO_LABEL if word == "-1" else class_index(word)
    if label is None or label >= len(classes or CLASSES):
        raise UsageError(
            f"{where}: label {word!r} is no class: write a name ({', '.join(classes or CLASSES)}), "
            f"an index 0 … {len(classes or CLASSES) - 1}, or -1 for none"
        )
    return label


def _lines(path: Path) -> list[tuple[int, str]]:
    try:
        text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise UsageError(f"{path}: the list file cannot be read ({error.strerror})") from error
    if "\0" in text:
        raise UsageError(f"{path}: this is no list file (it holds zero bytes)")
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    return [(number, line) for number, line in lines if line]


def _folder_label(folder: str, folders: Sequence[str], root: Path) -> int:
    label = class_index(folder)
    if label is None:
        raise UsageError(
            f"{root / folder}: the folder is named after no class: rename it to one of {', '.join(CLASSES)}"
        )
    if folder.isdigit() and "0" not in folders:
        raise UsageError(
            f"{root}: class folders by number count from 0 in the order {', '.join(CLASSES)}; these start at "
            f"{min(folders)} and look like a data set's own numbers: rename them to class names"
        )
    return label


def _frame_lister(root: Path, remark: Callable[[str], None]) -> Callable[[Sample], list[File]]:
    """Lists the n_frames frames of a clip; what the list promises and the disk lacks has size -1."""

    def frames_of(sample: Sample) -> list[File]:
        try:
            with os.scandir(root / sample.source) as entries:
                found = sorted(
                    (entry.name, entry.stat().st_size)
                    for entry in entries
                    if not entry.name.startswith(".") and is_image_name(entry.name) and entry.is_file()
                )
        except OSError:
            found = []
        if len(found) > sample.n_frames:
            remark(f"{sample.source}: {len(found)} frames on disk, the list says {sample.n_frames}")
        files = [File(f"{sample.source}/{name}", size, k) for k, (name, size) in enumerate(found[: sample.n_frames])]
        missing = range(len(files), sample.n_frames)
        return files + [
            File(f"{sample.source}/<frame {k + 1} of {sample.n_frames}>", NOT_ON_DISK, k) for k in missing
        ]

    return frames_of


def _visible(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith((".", "__MACOSX"))]
    except NotADirectoryError as error:
        raise UsageError(f"{folder}: this is a file, a folder is needed") from error
    except OSError as error:
        raise UsageError(f"{folder}: the folder cannot be read ({error.strerror})") from error


def _walk(root: Path, below: PurePosixPath) -> tuple[list[str], list[str]]:
    """Relative paths of (images, other files) below a folder, in code-point order; links are followed once."""
    images: list[str] = []
    others: list[str] = []
    seen: set[tuple[int, int]] = set()
    waiting = [below]
    while waiting:
        folder = waiting.pop()
        status = (root / folder).stat() if (root / folder).is_dir() else None
        if status is not None and (status.st_dev, status.st_ino) in seen:
            continue
        if status is not None:
            seen.add((status.st_dev, status.st_ino))
        for entry in _visible(root / folder):
            path = folder / entry.name
            if entry.is_dir():
                waiting.append(path)
            else:
                (images if is_image_name(entry.name) else others).append(str(path))
    return sorted(images), sorted(others)


def _left_out(others: Sequence[str]) -> list[str]:
    if not others:
        return []
    return [f"{len(others)} files are no images by their name and were left out (first: {others[0]})"]
