"""The data sets that have a name, and what a name or a path means."""

import difflib
import re
import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from itertools import product
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import BaseModel, field_validator

from ..errors import UsageError, one_of, option
from .disk import file_safe, kind_of, short_name


class Layout(BaseModel, extra="forbid", frozen=True, defer_build=True):
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


class Split(BaseModel, extra="forbid", frozen=True, defer_build=True):
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


class DataSet(BaseModel, extra="forbid", frozen=True, defer_build=True):
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
    """Its title: the catalogue's name and split, or what the path is called, which others may be called too."""
    entry: DataSet | None
    split: str
    path: Path | None = None
    root_name: str = ""
    """The name under which its folder is given: the catalogue's, whatever the split, or the path's title."""
    is_titled: bool = False
    """Whether the user gave a path its title."""

    @property
    def published(self) -> Split | None:
        return self.entry.splits[self.split] if self.entry else None


def parse_dataset(text: str, known: Collection[str] = ()) -> DataSetRef:
    """A catalogue name with an optional `:split`, a path to a folder or a list file, or TITLE=PATH.

    A path need not exist any more if its features may be cached: `known` are the titles in the cache. Raises
    UsageError for an unknown name or split.
    """
    name, _, split = text.partition(":")
    entry = catalogue().get(name)
    if entry is not None:
        split = split or entry.default_split
        if split not in entry.splits:
            raise UsageError(f"{name} has no split {split!r}: choose {one_of(entry.splits)}")
        return DataSetRef(_name_of_split(name, split), entry, split, root_name=name)
    title, words = _titled(text)
    path = Path(words).expanduser()
    looks_like_path = title or path.is_absolute() or words.startswith(".") or len(path.parts) > 1
    name = title or title_of(path)
    if not words or not (looks_like_path or kind_of(path) != "missing" or {name, words} & set(known)):
        raise UsageError(f"{text!r} is neither a data set nor a path: {_suggestion(text, known)}")
    return DataSetRef(name, None, "", path, root_name=name, is_titled=bool(title))


def _titled(text: str) -> tuple[str, str]:
    """The title and the path of TITLE=PATH; without a title, or where there is such a path, ("", path)."""
    title, equals, path = text.partition("=")
    if not equals or not re.fullmatch(r"\w[\w.-]*", title) or kind_of(Path(text).expanduser()) != "missing":
        return "", text
    if title in catalogue():
        raise UsageError(
            f"{text!r}: {title} is a data set of the catalogue: write `{title} {option('root')} {text}`, or choose "
            f"another title"
        )
    if len(title.encode()) > _LONGEST_TITLE:
        raise UsageError(f"{text!r}: no folder can have so long a title: choose one of up to {_LONGEST_TITLE} bytes")
    if _is_taken(title):
        raise UsageError(f"{text!r}: {title} means something else already: choose another title")
    return title, path


def _suggestion(text: str, known: Collection[str]) -> str:
    """What may have been meant by a word that is nothing."""
    name, colon, split = text.partition(":")
    plain = {_letters(one): one for one in [*known, *catalogue()]}
    close = difflib.get_close_matches(_letters(name), plain, n=1)
    return f"did you mean {plain[close[0]]}{colon}{split}?" if close else f"choose {one_of(catalogue())}"


def _letters(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())


def _name_of_split(name: str, split: str) -> str:
    return name if split == catalogue()[name].default_split else f"{name}-{split}"


_LONGEST_TITLE = 235
"""Bytes: a file system takes 255, and what tells data sets of one title apart is added."""
_LIST_SUFFIXES = (".txt", ".csv", ".lst", ".list", ".tsv")


def title_of(path: Path) -> str:
    """What a path is called: its last part, without characters that a file system may refuse.

    It depends on the text alone, so that the cached features of a path that is gone are still found.
    """
    absolute = path.resolve() if path.name == ".." else path.absolute()
    stem = absolute.stem if absolute.suffix.lower() in _LIST_SUFFIXES else absolute.name
    name = short_name(plain_name(stem), _LONGEST_TITLE) or "root"
    return f"{name}-folder" if _is_taken(name) else name


def plain_name(text: str) -> str:
    """A name without characters that a file system may refuse."""
    return file_safe(text).strip("-.")


def _is_taken(name: str) -> bool:
    """Whether a name in a cache means something other than a path."""
    return name in {"heads", "builtin", "text"} or any(
        name == _name_of_split(known, split) for known, entry in catalogue().items() for split in entry.splits
    )
