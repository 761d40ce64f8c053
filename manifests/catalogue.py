"""The data sets that have a name, and how a name or a path becomes a manifest."""

import difflib
import tomllib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from itertools import product
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import BaseModel, field_validator

from ..errors import UsageError, one_of, option
from .annotations import read_label_arrays, read_votes
from .class_folders import looks_like_image_folder
from .classes import CLASSES, are_common, how_to_number
from .disk import folders_in, holds_only_videos, kind_of
from .faces import RENDERER_VERSION, ensure_set
from .faces.sets import Progress
from .frames import DEFAULT_POLICIES
from .lists import ListForm, read_list_files, read_name_label_list
from .manifest import Manifest
from .own_output import is_own_output
from .pointers import nearby, pointer
from .readers import read_clip_folder, read_image_folder, read_plain_folder, read_videos
from .reading import Order, Reading


class Layout(BaseModel, extra="forbid", frozen=True):
    """One way in which a split may be laid out on disk."""

    reader: Literal[
        "image-folder", "clip-folder", "plain-folder", "list-files", "name-label-list", "label-arrays", "votes"
    ]
    path: str
    """Relative to the root; `{fold}` stands for 1, 2, …, and of the paths that match a `*` the first is taken."""
    after: str = ""
    """List files: what precedes the relevant part of each path."""
    below: str = ""
    """List files: the folder below the root that holds this part. Label arrays: the folder of the images."""
    names: str = "*"
    """Name-label lists, whose labels are the data set's own: names that belong to the split. Votes: its usage."""
    source: str = "{name}"
    """Name-label lists and votes: where the image or the clip is below the root."""
    separator: str | None = None
    header: str = ""

    @property
    def place(self) -> str:
        """What must be beside the list: a folder, or the file that holds all pictures."""
        return self.below or (self.source.partition("{")[0].rstrip("/") if "{" in self.source else self.source)

    def source_of(self, name: str) -> str | None:
        """Where the image or clip called `name` is below the root; None where it belongs to another split."""
        path = PurePosixPath(name)
        source = self.source.format(name=name, stem=path.stem, suffix=path.suffix)
        return source if fnmatchcase(name, self.names) else None


class Split(BaseModel, extra="forbid", frozen=True):
    role: Literal["train", "test"]
    layouts: tuple[Layout, ...]
    counts: dict[str, int] = {}
    """Published number of samples per class."""
    folds: tuple[int, ...] = ()
    """Published number of samples per fold."""
    total: int = 0
    known_totals: dict[str, str] = {}
    """Other numbers of samples, and what they indicate."""

    @field_validator("layouts", mode="before")
    @classmethod
    def _one_of_each(cls, layouts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """In the catalogue `path`, `below` and `source` may be lists: one layout per combination."""
        several = ("path", "below", "source")
        return [
            layout | dict(zip(names, values, strict=True))
            for layout in layouts
            for names in [[name for name in several if isinstance(layout.get(name), list)]]
            for values in product(*(layout[name] for name in names))
        ]

    @property
    def expected(self) -> int:
        """Published number of samples; 0 where it depends on how the faces were cropped."""
        return self.total or sum(self.counts.values()) or sum(self.folds)


class DataSet(BaseModel, extra="forbid", frozen=True):
    title: str
    about: str
    kind: Literal["images", "clips"]
    classes: int
    source: str
    default_split: str
    splits: dict[str, Split]
    own_labels: dict[str, str] = {}
    """Class names by the data set's own numbers or lower-case words."""
    left_out: dict[str, str] = {}
    """Own numbers that are not classes of this data set, and what they mean."""
    other_orders: dict[str, tuple[str, ...]] = {}
    """Orders in which other projects number the classes, by project."""
    builtin: bool = False


@cache
def catalogue() -> dict[str, DataSet]:
    """All named data sets, in the order of the catalogue."""
    text = files(__name__.rpartition(".")[0]).joinpath("datasets.toml").read_text(encoding="utf-8")
    return {name: DataSet.model_validate(entry) for name, entry in tomllib.loads(text).items()}


@dataclass(frozen=True)
class DataSetRef:
    """What the user typed: a catalogue name with a split, or a path."""

    name: str
    """What the data set is called in the cache."""
    entry: DataSet | None
    split: str
    path: Path | None = None
    root_name: str = ""
    """The name under which its folder is given: the catalogue's, whatever the split, or the path's."""

    @property
    def published(self) -> Split | None:
        return self.entry.splits[self.split] if self.entry else None


def parse_dataset(text: str, known: Collection[str] = ()) -> DataSetRef:
    """A catalogue name with an optional `:split`, or a path to a folder or a list file.

    A path need not exist any more if its features may be cached: `known` are the names in the cache. Raises
    UsageError for an unknown name or split.
    """
    name, _, split = text.partition(":")
    entry = catalogue().get(name)
    if entry is not None:
        split = split or entry.default_split
        if split not in entry.splits:
            raise UsageError(f"{name} has no split {split!r}: choose {one_of(entry.splits)}")
        return DataSetRef(_name_of_split(name, split), entry, split, root_name=name)
    path = Path(text).expanduser()
    path_name = _name_of_path(path)
    looks_like_path = path.is_absolute() or text.startswith(".") or len(path.parts) > 1
    if not text or not (looks_like_path or kind_of(path) != "missing" or path_name in known):
        close = difflib.get_close_matches(name, catalogue(), n=1)
        hint = f"did you mean {close[0]}?" if close else f"choose {one_of(catalogue())}"
        raise UsageError(f"{text!r} is neither a data set nor a path: {hint}")
    return DataSetRef(path_name, None, "", path, root_name=path_name)


def _name_of_split(name: str, split: str) -> str:
    return name if split == catalogue()[name].default_split else f"{name}-{split}"


_LIST_SUFFIXES = (".txt", ".csv", ".lst", ".list", ".tsv")


def _name_of_path(path: Path) -> str:
    """What a path is called in the cache: its last part, without characters that a file system may refuse.

    It depends on the text alone, so that the cached features of a path that is gone are still found.
    """
    absolute = path.resolve() if path.name == ".." else path.absolute()
    stem = absolute.stem if absolute.suffix.lower() in _LIST_SUFFIXES else absolute.name
    name = "".join(c if c.isalnum() or c in "-_." else "-" for c in stem).strip("-.") or "root"
    taken = {"heads", "builtin", "text"}
    taken |= {_name_of_split(known, split) for known, entry in catalogue().items() for split in entry.splits}
    return f"{name}-folder" if name in taken else name


def read_dataset(
    ref: DataSetRef,
    root: Path | None,
    builtin_folder: Path,
    policies: Iterable[str] = DEFAULT_POLICIES,
    progress: Progress | None = None,
    *,
    numbers: Sequence[str] = (),
    order: Order | None = None,
) -> Manifest:
    """Read the manifest of a data set from disk; a built-in set that is missing is drawn first.

    `numbers` names the classes that the label numbers 0, 1, … stand for; `("common",)` names the common ones. `order`
    is that of frames whose numbers have no leading zeros: by default `released` for data sets that have a name, and
    `native` for paths. Raises UsageError where the root is unknown or missing, or holds none of the data set's
    layouts.
    """
    if ref.path is not None:
        return _read_path(ref.name, ref.path, root, Reading(tuple(policies), tuple(numbers), order or "native"))
    assert ref.entry is not None
    if ref.entry.builtin:
        root = ensure_set(ref.name, builtin_folder / f"{ref.name}-v{RENDERER_VERSION}", progress)
    if root is None:
        raise UsageError(
            f"where is {ref.entry.title}? Give {option('root')} {ref.name}=DIR, or add it to [roots] in expclip.toml"
        )
    root = _existing(root, ref.entry.title)
    layout, found = _find_layout(ref, root)
    reading = Reading(tuple(policies), tuple(numbers), order or "released")
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
    has_classes = looks_like_image_folder(path, 0 if are_common(reading.numbers) else len(reading.numbers))
    if has_classes:
        read = read_clip_folder if holds_only_videos(path) else read_image_folder
        return read(name, path, reading=reading)
    hints = list(filter(None, [pointer(typed)]))
    if holds_only_videos(path):
        return read_videos(name, path, reading, hints)
    return read_plain_folder(name, path, remarks=hints)


def _find_layout(ref: DataSetRef, root: Path) -> tuple[Layout, list[tuple[Path, int]]]:
    """The first layout that is on disk, with its files or its folder and their folds.

    A layout whose images are in place comes before one that has only its list.
    """
    assert ref.published is not None
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
    has_numbers = any(label.isdigit() for label in entry.own_labels)
    if has_numbers and not reading.numbers and any(folder.isdigit() for folder in folders_in(place)):
        raise UsageError(
            f"{place}: {entry.title} has label numbers of its own, and number folders do not say which ones they "
            f"use: rename them to {', '.join(classes)} (copies with alphabetical numbers circulate), "
            f"{how_to_number(classes)}"
        )
