"""From folders to manifests, and clips from wherever they are named.

Three forms are read: an image folder (`<class>/*`), a clip folder (`<class>/<clip>`), and a plain folder of images or
videos without labels. A clip is a folder of frames or a video. Links on the user's own disk are followed, hidden
files are ignored, and everything else that is left out is a remark. List files are read in `lists.py`.
"""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path, PurePosixPath

from ..errors import UsageError
from .classes import CLASSES, class_index, class_name, class_set
from .disk import files_in, folders_in, frames_in, is_image_name, is_video_name, walk
from .frames import DEFAULT_POLICIES
from .manifest import NO_LABEL, NOT_ON_DISK, File, Manifest, Sample, clip_manifest, image_manifest, size_of
from .videos import count_frames, pyav

_SPLITS = ("train", "training", "test", "testing", "val", "valid", "validation", "dev")
"""Folders with these names hold parts of a data set; no class has such a name."""


def looks_like_image_folder(root: Path) -> bool:
    """True where folders below the root are classes.

    Either one is named after a common class, or all are class indices; or there are several with names of their own,
    which hold all pictures.
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
    name: str, root: Path, classes: Sequence[str] | None = None, subset: str = "", left_out: Collection[str] = ()
) -> Manifest:
    """Labelled images in one folder per class: `<root>/<subset>/<class name, synonym or index>/**/image`.

    Images beside the class folders have no label; folders of the classes `left_out` are not read. Raises UsageError
    for a folder that does not name a class of the data set.
    """
    labels, classes, remarks = _class_folders(name, root / subset, classes, left_out)
    images, unread = walk(root, subset)
    depth = len(PurePosixPath(subset).parts)
    samples, beside, used = [], [], set()
    for source in images:
        folder, *below = source.split("/")[depth:]
        if not below:
            beside.append(source)
            samples.append(Sample(source, source, NO_LABEL))
        elif folder in labels:
            used.add(folder)
            samples.append(Sample(source, source, labels[folder]))
    remarks += [*unread, *(f"{folder}: the class folder holds no images" for folder in labels if folder not in used)]
    if beside:
        remarks.append(f"{len(beside)} images beside the class folders have no label (first: {beside[0]})")
    return image_manifest(name, classes, samples, root, remarks=remarks)


def read_clip_folder(
    name: str,
    root: Path,
    classes: Sequence[str] | None = None,
    subset: str = "",
    policies: Iterable[str] = DEFAULT_POLICIES,
) -> Manifest:
    """Labelled clips in one folder per class: `<root>/<subset>/<class name, synonym or index>/**/<clip>`.

    Each clip has as many frames as are on disk. Raises UsageError as `read_image_folder` does.
    """
    labels, classes, remarks = _class_folders(name, root / subset, classes)
    files, unread = walk(root, subset, videos=True)
    remarks += unread
    depth = len(PurePosixPath(subset).parts)
    samples = []
    for clip in dict.fromkeys(file if is_video_name(file) else file.rpartition("/")[0] for file in files):
        parts = PurePosixPath(clip).parts[depth:]
        if len(parts) < 2:
            remarks.append(f"{clip or root}: what is here belongs to no clip of a class and was left out")
        else:
            samples.append(Sample(clip, clip, labels[parts[0]], n_frames=frame_count(root, clip)))
    return clips_on_disk(name, classes, samples, root, policies, remarks)


def _class_folders(
    name: str, place: Path, classes: Sequence[str] | None, left_out: Collection[str] = ()
) -> tuple[dict[str, int], Sequence[str], list[str]]:
    """The label of each class folder, the classes, and remarks about them."""
    folders = folders_in(place)
    if not folders:
        raise UsageError(f"{place}: there are no class folders: make one per class ({', '.join(classes or CLASSES)})")
    _refuse_own_numbers(folders, place)
    names = {folder: class_name(folder) for folder in folders}
    not_read = [folder for folder, named in names.items() if named in left_out]
    remarks = [f"{folder}: {name} does not have this class; the folder was left out" for folder in not_read]
    names = {folder: named for folder, named in names.items() if folder not in not_read}
    if classes is None:
        classes = class_set(names.values())
        if own := [named for named in classes if named not in CLASSES]:
            remarks.append(f"{', '.join(own)}: not common classes, and taken as the data set's own")
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


def _refuse_own_numbers(folders: Sequence[str], place: Path) -> None:
    numbers = [folder for folder in folders if folder.isdigit()]
    if no_index := [number for number in numbers if class_index(number) is None]:
        raise UsageError(f"{place / no_index[0]}: not a class index: rename the folder to a class name")
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
    return clips_on_disk(name, (), samples, root, policies, remarks)


def frame_count(root: Path, source: str) -> int:
    """How many frames a clip has on disk; 1 where it has none, so that a row that fails keeps its place."""
    return max(1, count_frames(root / source) if is_video_name(source) else len(frames_in(root, source)[0]))


def clips_on_disk(
    name: str,
    classes: Sequence[str],
    samples: Sequence[Sample],
    root: Path,
    policies: Iterable[str],
    remarks: Iterable[str] = (),
) -> Manifest:
    """The manifest of clips; a frame that a list promises but the disk lacks keeps its place.

    In a folder of frames it has size -1. Videos are not opened to check what the list says: their frames fail later.
    """
    remarks = list(remarks)
    if any(is_video_name(sample.source) for sample in samples):
        pyav()  # better to fail here than in the middle of the work

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
