"""From folders and list files to manifests.

Four forms are read: an image folder (`<class>/*`), a clip folder (`<class>/<clip>`), a plain folder of images or
videos without labels, and a list file with lines `path n_frames label`. A clip is a folder of frames or a video.
Nothing that a list names may lie outside the root.
Links on the user's own disk are followed, hidden files are not looked at, and everything else that is left out is a
remark. What only one data set uses is in `annotations.py`.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..errors import UsageError
from .classes import CLASSES, class_index, class_name, class_set, smallest_class_set
from .disk import files_in, folders_in, frames_in, is_image_name, is_video_name, kind_of, walk
from .frames import DEFAULT_POLICIES
from .manifest import NO_FOLD, NO_LABEL, NOT_ON_DISK, File, Manifest, Sample, clip_manifest, image_manifest, size_of
from .videos import count_frames, pyav

MAX_FRAMES = 1_000_000
"""More frames than any clip has; a list that says more is wrong."""
_HEAD_BYTES = 65536
_SPLITS = ("train", "training", "test", "testing", "val", "valid", "validation", "dev")
"""Folders of these names hold parts of a data set; no class is called so."""


def looks_like_image_folder(root: Path) -> bool:
    """True where folders below the root are classes.

    One is named after a common class, or all of them by class indices; or they have names of their own, more than
    one, and all pictures are in them.
    """
    folders = folders_in(root)
    indices = [class_index(folder) is not None for folder in folders if folder.isdigit()]
    words = [class_index(folder) is not None for folder in folders if not folder.isdigit()]
    return any(words) or (all(indices) if indices and not words else _are_own_classes(root, folders))


def _are_own_classes(root: Path, folders: Sequence[str]) -> bool:
    may_be = len(folders) > 1 and not any(name.isdigit() or name.lower() in _SPLITS for name in folders)
    return may_be and not _holds_pictures(root) and all(_holds_pictures(root / name) for name in folders)


def _holds_pictures(folder: Path) -> bool:
    return any(is_image_name(name) or is_video_name(name) for name in files_in(folder))


def read_image_folder(
    name: str,
    root: Path,
    classes: Sequence[str] | None = None,
    subset: str = "",
    left_out: Collection[str] = (),
) -> Manifest:
    """Labelled images in one folder a class: `<root>/<subset>/<class name, synonym or index>/**/image`.

    Images beside the class folders have no label; folders of the classes `left_out` are not read. Raises UsageError
    for a folder that names no class of the data set.
    """
    labels, classes, remarks = _class_folders(name, root / subset, classes, left_out)
    images, unread = walk(root, subset)
    depth = len(PurePosixPath(subset).parts)
    parts_of = {source: source.split("/")[depth:] for source in images}
    parts_of = {source: parts for source, parts in parts_of.items() if len(parts) == 1 or parts[0] in labels}
    used = {parts[0] for parts in parts_of.values() if len(parts) > 1}
    remarks += [*unread, *(f"{folder}: the class folder holds no image" for folder in labels if folder not in used)]
    beside = [source for source, parts in parts_of.items() if len(parts) == 1]
    if beside:
        remarks.append(f"{len(beside)} images beside the class folders have no label (first: {beside[0]})")
    samples = [
        Sample(source, source, labels[parts[0]] if len(parts) > 1 else NO_LABEL) for source, parts in parts_of.items()
    ]
    return image_manifest(name, classes, samples, root, remarks=remarks)


def read_clip_folder(
    name: str,
    root: Path,
    classes: Sequence[str] | None = None,
    subset: str = "",
    policies: Iterable[str] = DEFAULT_POLICIES,
) -> Manifest:
    """Labelled clips in one folder a class: `<root>/<subset>/<class name, synonym or index>/**/<clip>`.

    A clip is a folder of frames or a video, and has as many frames as there are. Raises UsageError as
    `read_image_folder` does.
    """
    labels, classes, remarks = _class_folders(name, root / subset, classes)
    files, unread = walk(root, subset, videos=True)
    depth = len(PurePosixPath(subset).parts)
    clips = dict.fromkeys(file if is_video_name(file) else file.rpartition("/")[0] for file in files)
    loose = [clip for clip in clips if len(PurePosixPath(clip).parts) < depth + 2]
    remarks += [
        *unread,
        *(f"{clip or root}: what lies here belongs to no clip of a class and was left out" for clip in loose),
    ]
    samples = [
        Sample(clip, clip, labels[clip.split("/")[depth]], n_frames=frame_count(root, clip))
        for clip in clips
        if clip not in loose
    ]
    return _clips(name, classes, samples, root, policies, remarks)


def _class_folders(
    name: str, place: Path, classes: Sequence[str] | None, left_out: Collection[str] = ()
) -> tuple[dict[str, int], Sequence[str], list[str]]:
    """The label of each class folder, the classes, and what is to be said of them."""
    folders = folders_in(place)
    if not folders:
        raise UsageError(f"{place}: there is no class folder: make one a class ({', '.join(classes or CLASSES)})")
    _refuse_own_numbers(folders, place)
    names = {folder: class_name(folder) for folder in folders}
    not_read = [folder for folder, named in names.items() if named in left_out]
    remarks = [f"{folder}: {name} does not have this class; the folder was left out" for folder in not_read]
    names = {folder: named for folder, named in names.items() if folder not in not_read}
    if classes is None:
        classes = class_set(names.values())
        remarks += _own_classes(classes)
    for folder, named in names.items():
        if named not in classes:
            problem = f"{named} is not one of them: remove the folder, or rename it to one of {', '.join(classes)}"
            raise UsageError(f"{place / folder}: {name} has {len(classes)} classes and {problem}")
    if any(folder.isdigit() for folder in names):
        remarks.append(
            f"class folders by number were read in the order {', '.join(classes)}: if they were numbered "
            f"alphabetically, or by the data set's own numbers, every label is wrong; names cannot be mistaken"
        )
    return {folder: classes.index(named) for folder, named in names.items()}, classes, remarks


def _own_classes(classes: Sequence[str]) -> list[str]:
    own = [name for name in classes if name not in CLASSES]
    return [f"{', '.join(own)}: no common classes, and taken as the data set's own"] if own else []


def _refuse_own_numbers(folders: Sequence[str], place: Path) -> None:
    numbers = [folder for folder in folders if folder.isdigit()]
    if no_index := [number for number in numbers if class_index(number) is None]:
        raise UsageError(f"{place / no_index[0]}: this number is no class index: rename the folder to a class name")
    if numbers and "0" not in numbers:
        raise UsageError(
            f"{place}: class folders by number count from 0 in the order {', '.join(CLASSES)}; these start at "
            f"{min(numbers)} and look like a data set's own numbers: rename them to class names"
        )


def read_plain_folder(name: str, root: Path, subset: str = "") -> Manifest:
    """Every image below `<root>/<subset>`, without labels, in code-point order of the relative paths."""
    images, remarks = walk(root, subset)
    return image_manifest(name, (), [Sample(source, source) for source in images], root, remarks=remarks)


def read_videos(name: str, root: Path, policies: Iterable[str] = DEFAULT_POLICIES) -> Manifest:
    """Every video below a folder as a clip without a label, in code-point order of the relative paths."""
    files, remarks = walk(root, videos=True)
    samples = [Sample(file, file, n_frames=frame_count(root, file)) for file in files if is_video_name(file)]
    return _clips(name, (), samples, root, policies, remarks)


@dataclass(frozen=True)
class ListForm:
    """How the lines of a data set's list files are to be read."""

    labels: Mapping[str, str] | None = None
    """Class names by the data set's own label numbers or lower-case words; None where labels are class names or
    common indices."""
    after: str = ""
    """What precedes the part of each path that counts, such as "DFEW_Frame_Face/"."""
    below: str = ""
    """Folder below the root in which that part lies."""
    separator: str | None = None
    """What parts the fields of a line; None is white space."""
    header: str = ""
    """A first line that is no sample."""


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
    files on disk are rows that fail, more are a remark. Labels are not looked at where there are no classes, and
    where `classes` is None they are the smallest set that holds all labels. Raises UsageError with file and line for
    what cannot be read, and where nothing of what the lists name is on disk.
    """
    form = form or ListForm()
    samples = [sample for path, fold in lists for sample in _read_list(path, fold, form, classes)]
    if classes is None:
        classes = smallest_class_set([sample.label for sample in samples])
    images = [sample for sample in samples if is_image_name(sample.source)]
    if images and len(images) < len(samples):
        clip = next(sample.source for sample in samples if not is_image_name(sample.source))
        raise UsageError(
            f"{lists[0][0]}: images and clip folders are mixed ({images[0].source}, {clip}): make a list for each"
        )
    if images:
        return image_manifest(name, classes, samples, root)
    return _clips(name, classes, samples, root, policies)


def read_name_label_list(
    name: str,
    root: Path,
    lists: Sequence[tuple[Path, int]],
    classes: Sequence[str],
    source_of: Callable[[str], str | None],
    form: ListForm,
    policies: Iterable[str] | None = None,
) -> Manifest:
    """Samples from lines `name label`, the form in which RAF-DB and DFEW are distributed.

    `source_of(name)` is the path below the root, None for a sample of another split. With frame policies the samples
    are clips, of as many frames as there are. Raises UsageError as `read_list_files` does.
    """
    samples = []
    for path, fold in lists:
        for where, line in lines_of(path, form.header):
            parts = line.rsplit(form.separator, maxsplit=1)
            if len(parts) != 2:
                raise UsageError(f"{where}: expected `name{form.separator or ' '}label`, found {line!r}")
            source = source_of(parts[0].strip())
            if source is not None:
                source = below_root(source, where)
                label = _label(parts[1].strip(), form, classes, where)
                n_frames = 1 if policies is None else frame_count(root, source)
                samples.append(Sample(source, source, label, fold or NO_FOLD, n_frames))
    if policies is None:
        return image_manifest(name, classes, samples, root)
    return _clips(name, classes, samples, root, policies)


def _read_list(path: Path, fold: int, form: ListForm, classes: Sequence[str] | None) -> list[Sample]:
    samples = []
    for where, line in lines_of(path, form.header):
        parts = line.rsplit(form.separator, maxsplit=2)
        if len(parts) != 3 or not (parts[1].isascii() and parts[1].isdigit()):
            raise UsageError(f"{where}: expected `path n_frames label`, found {line!r}")
        source = below_root(_below(parts[0], form, where), where)
        label = NO_LABEL if classes == () else _label(parts[2], form, classes, where)
        samples.append(Sample(source, source, label, fold or NO_FOLD, _listed_frames(parts[1], source, where)))
    return samples


def frame_count(root: Path, source: str) -> int:
    """How many frames a clip has on disk; 1 where it has none, so that its place is kept by a row that fails."""
    return max(1, count_frames(root / source) if is_video_name(source) else len(frames_in(root, source)[0]))


def _listed_frames(digits: str, source: str, where: str) -> int:
    count = int(digits) if len(digits) <= len(str(MAX_FRAMES)) else MAX_FRAMES + 1
    if not 1 <= count <= MAX_FRAMES:
        raise UsageError(f"{where}: a clip has 1 to {MAX_FRAMES:,} frames, found {digits[:20]}: correct the line")
    if count > 1 and is_image_name(source):
        raise UsageError(f"{where}: an image has 1 frame, found {digits}: correct the line, or name a clip's folder")
    return count


def _below(path: str, form: ListForm, where: str) -> str:
    """The path below the root of a path in a list, which may come from another machine."""
    path = path.replace("\\", "/")
    if form.after:
        _, found, path = path.rpartition(form.after)
        if not found:
            raise UsageError(f"{where}: the path holds no {form.after!r}: is this the list of another data set?")
    return f"{form.below}/{path}" if form.below and not path.startswith("/") else path


def below_root(path: str, where: str, root: str = "the list's folder or to --root") -> str:
    """A relative path without empty parts. Raises UsageError where it may lead out of the root."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or path.startswith("/") or ".." in parts or "\0" in path or path[1:2] == ":":
        raise UsageError(f"{where}: {path!r} does not lie below the root: make it relative, without `..`, to {root}")
    return "/".join(parts)


def _label(word: str, form: ListForm, classes: Sequence[str] | None, where: str) -> int:
    if form.labels is not None:
        name = form.labels.get(word.lower())
        if name is None:
            own = ", ".join(f"{number} ({name})" for number, name in form.labels.items())
            raise UsageError(f"{where}: label {word!r} is none of the data set's own: write {own}")
        return CLASSES.index(name)
    label = NO_LABEL if word == "-1" else class_index(word)
    if label is None or label >= len(classes or CLASSES):
        raise UsageError(
            f"{where}: label {word!r} is no class: write a name ({', '.join(classes or CLASSES)}), "
            f"an index 0 … {len(classes or CLASSES) - 1}, or -1 for none"
        )
    return label


def _clips(
    name: str,
    classes: Sequence[str],
    samples: Sequence[Sample],
    root: Path,
    policies: Iterable[str],
    remarks: Iterable[str] = (),
) -> Manifest:
    """The manifest of clips; a frame that the list promises and the disk lacks keeps its place.

    It has size -1 in a folder of frames. Videos are not opened for what the list tells: their frames fail later.
    """
    remarks = list(remarks)
    if any(is_video_name(sample.source) for sample in samples):
        pyav()  # better here than in the middle of the work

    def frames_of(sample: Sample, numbers: Sequence[int]) -> list[File]:
        if is_video_name(sample.source):
            size = size_of(root, sample.source)
            return [File(sample.source, size, number) for number in numbers]
        names, trouble = frames_in(root, sample.source)
        if trouble:
            remarks.append(f"{sample.source}: the folder cannot be read ({trouble})")
        if len(names) > sample.n_frames:
            remarks.append(f"{sample.source}: {len(names)} frames on disk, the list says {sample.n_frames}")
        return [_frame(root, sample, names, number) for number in numbers]

    return clip_manifest(name, classes, samples, root, frames_of, policies, remarks=remarks)


def _frame(root: Path, sample: Sample, names: Sequence[str], number: int) -> File:
    if number >= len(names):
        return File(f"{sample.source}/<frame {number + 1} of {sample.n_frames}>", NOT_ON_DISK, number)
    source = f"{sample.source}/{names[number]}"
    return File(source, size_of(root, source), number)


def lines_of(path: Path, header: str = "") -> Iterator[tuple[str, str]]:
    """The lines of a list file that are not empty, each with where it is; file names may hold any bytes."""
    if kind_of(path) != "file":
        raise UsageError(f"{path}: the list file is missing or no ordinary file: put the list there")
    try:
        with path.open("rb") as file:
            is_text = b"\0" not in file.read(_HEAD_BYTES)
        text = path.read_text(encoding="utf-8-sig", errors="surrogateescape") if is_text else "\0"
    except OSError as error:
        raise UsageError(f"{path}: the list file cannot be read ({error.strerror})") from error
    if "\0" in text:
        raise UsageError(f"{path}: this is no list file (it holds zero bytes): give a folder, or a list in UTF-8")
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip() and not (number == 1 and line.strip() == header):
            yield f"{path}:{number}", line.strip()
