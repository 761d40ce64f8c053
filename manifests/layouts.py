"""How a data set of the catalogue, or a path, is read from disk: the first layout that is there."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ..errors import UsageError, one_of, option
from .annotations import read_label_arrays, read_votes
from .catalogue import DataSet, DataSetRef, Layout
from .class_folders import looks_like_image_folder
from .classes import CLASSES, how_to_number, order_of
from .disk import folders_in, holds_only_videos, kind_of
from .frames import DEFAULT_POLICIES
from .lists import ListForm, read_list_files, read_name_label_list
from .manifest import Manifest
from .own_output import is_own_output
from .pointers import nearby, pointer
from .readers import read_clip_folder, read_image_folder, read_plain_folder, read_videos
from .reading import Count, Order, Reading, count_frames


def read_dataset(
    ref: DataSetRef,
    root: Path | None,
    builtin_folder: Path,
    policies: Iterable[str] = DEFAULT_POLICIES,
    progress: Callable[[int, int], None] | None = None,
    *,
    numbers: Sequence[str] = (),
    order: Order | None = None,
    count: Count = count_frames,
) -> Manifest:
    """Read the manifest of a data set from disk; a built-in set that is missing is drawn first.

    `numbers` names the classes that the label numbers 0, 1, … stand for; `("common",)` names the common ones. `order`
    is that of frames whose numbers have no leading zeros: by default `released` for data sets that have a name, and
    `native` for paths; `count` tells how many frames a file has. Raises UsageError where the root is unknown or
    missing, or holds none of the data set's layouts.
    """
    if ref.path is not None:
        return _read_path(
            ref.name, ref.path, root, Reading(tuple(policies), tuple(numbers), order or "native", count)
        )
    assert ref.entry is not None
    if ref.entry.builtin:
        from .faces import RENDERER_VERSION, ensure_set

        root = ensure_set(ref.name, builtin_folder / f"{ref.name}-v{RENDERER_VERSION}", progress)
    if root is None:
        raise UsageError(
            f"where is {ref.entry.title}? Give {option('root')} {ref.root_name}=DIR, or add it to [roots] in "
            f"expclip.toml"
        )
    root = root.expanduser().absolute()
    layout, found = find_layout(ref, root)
    reading = Reading(tuple(policies), tuple(numbers), order or "released", count)
    return _read_layout(ref.name, ref.entry, root, layout, found, reading)


def _existing(root: Path, title: str) -> Path:
    root = root.expanduser().absolute()
    if kind_of(root) != "folder":
        raise UsageError(f"{root}: the root of {title} is not a folder: correct {option('root')}")
    _refuse_own_output(root)
    return root


def _refuse_own_output(root: Path) -> None:
    if is_own_output(root):
        raise UsageError(
            f"{root}: this is a cache, results or figures that expclip wrote, and no data set: give the folder that "
            f"holds the pictures"
        )


def _read_path(name: str, path: Path, root: Path | None, reading: Reading) -> Manifest:
    typed, path = path, path.absolute()
    kind = kind_of(path)
    if kind == "file":
        return read_list_files(name, _existing(root or path.parent, name), [(path, 0)], reading=reading)
    if kind != "folder":
        raise UsageError(f"{path}: there is no such folder or list file: correct the path")
    if root is not None:
        raise UsageError(f"{path} is the data set's folder itself, but {option('root')} is {root}: leave one out")
    _refuse_own_output(path)
    has_classes = looks_like_image_folder(path, max(len(CLASSES), len(reading.numbers)))
    if has_classes:
        read = read_clip_folder if holds_only_videos(path) else read_image_folder
        return read(name, path, reading=reading)
    hints = list(filter(None, [pointer(typed)]))
    if holds_only_videos(path):
        return read_videos(name, path, reading, hints)
    return read_plain_folder(name, path, remarks=hints)


def find_layout(ref: DataSetRef, root: Path) -> tuple[Layout, list[tuple[Path, int]]]:
    """The first layout that is on disk, with its files or its folder and their folds.

    A layout whose images are in place comes before one that has only its list.
    """
    assert ref.published is not None and ref.entry is not None
    root = _existing(root, ref.entry.title)
    found = _layouts_in(root, ref)
    if not found:
        looked_for = dict.fromkeys(layout.path.format(fold=1) for layout in ref.published.layouts)
        others = [str(place) for place in nearby(root) if _seems_to_hold(place, ref)]
        hint = f"{one_of(others)} does: give that. " if others else ""
        raise UsageError(
            f"{root} does not hold {ref.name} in any known layout: is {option('root')} right? {hint}Looked for "
            f"{', '.join(looked_for)}"
        )
    return next((one for one in found if kind_of(root / one[0].place) != "missing"), found[0])


def _seems_to_hold(place: Path, ref: DataSetRef) -> bool:
    """Whether another folder than the one that was given holds a data set; folders count if they have classes."""
    try:
        return any(
            "folder" not in layout.reader or looks_like_image_folder(place / layout.path)
            for layout, _ in _layouts_in(place, ref)
        )
    except UsageError:
        return False


def _layouts_in(root: Path, ref: DataSetRef) -> list[tuple[Layout, list[tuple[Path, int]]]]:
    """The layouts that are below a root. Raises UsageError for one that lacks some of its folds."""
    assert ref.published is not None
    found = []
    for layout in ref.published.layouts:
        folds = range(1, len(ref.published.folds) + 1) if "{fold}" in layout.path else [0]
        paths = [(_first_match(root, layout.path.format(fold=fold)), fold) for fold in folds]
        missing = [path for path, _ in paths if kind_of(path) == "missing"]
        if not missing:
            found.append((layout, paths))
        elif len(missing) < len(paths):
            raise UsageError(
                f"{missing[0]} is missing, although other folds of {ref.name} are there: put it beside them"
            )
    return found


def _first_match(root: Path, path: str) -> Path:
    matches = sorted(root.glob(path)) if "*" in path else []
    return matches[0] if matches else root / path


def _read_layout(
    name: str, entry: DataSet, root: Path, layout: Layout, found: list[tuple[Path, int]], reading: Reading
) -> Manifest:
    classes, place = CLASSES[: entry.classes], root / layout.path
    match layout.reader:
        case "plain-folder":
            return read_plain_folder(name, root, layout.path)
        case "clip-folder":
            _refuse_number_folders(entry, classes, place, reading)
            return read_clip_folder(name, root, classes, layout.path, reading)
        case "image-folder":
            _refuse_number_folders(entry, classes, place, reading)
            return read_image_folder(name, root, classes, layout.path, entry.left_out.values(), reading)
        case "list-files":
            form = ListForm(after=layout.after, below=layout.below)
            return read_list_files(name, root, found, classes, form, reading)
        case "name-label-list":
            form = ListForm(entry.own_labels, separator=layout.separator, header=layout.header)
            of_clips = reading if entry.kind == "clips" else None
            return read_name_label_list(name, root, found, classes, layout.source_of, form, of_clips)
        case "label-arrays":
            return read_label_arrays(name, root, place, layout.below, classes, entry.own_labels, entry.left_out)
        case "votes":
            return read_votes(name, root, found[0][0], classes, entry.own_labels, layout.source, layout.names)


def _refuse_number_folders(entry: DataSet, classes: Sequence[str], place: Path, reading: Reading) -> None:
    numbers = [folder for folder in folders_in(place) if folder.isdigit()]
    has_own = any(label.isdigit() for label in entry.own_labels)
    if has_own and numbers and not order_of(numbers, reading.numbers):
        raise UsageError(
            f"{place}: {entry.title} has label numbers of its own, and number folders do not say which ones they "
            f"use: rename them to {', '.join(classes)} (copies with alphabetical numbers circulate), "
            f"{how_to_number(classes)}"
        )
