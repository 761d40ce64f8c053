"""A manifest: the distinct things to encode, and what is known about them."""

import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from ..errors import UsageError, option
from .classes import MOST_CLASSES
from .disk import holds_many
from .frames import ALL, DEFAULT_POLICIES, POLICIES
from .spellings import spelled_otherwise

Kind = Literal["images", "clips", "texts"]
NO_LABEL = -1
NO_FOLD = 0
NOT_ON_DISK = -1


@dataclass(frozen=True, eq=False)
class Rows:
    """The distinct items of a data set, in order: nothing else is ever encoded."""

    sources: tuple[str, ...]
    """Paths of the files relative to the root, with forward slashes; in a manifest of texts the texts themselves."""
    sizes: np.ndarray
    """(rows,) int64, in bytes, or digests of contents (`contents.py`); -1 where a listed file is not on disk."""
    frames: np.ndarray
    """(rows,) int32, frame number within the clip or a file of many pictures (`holds_many`), 0 for a still image."""

    def __len__(self) -> int:
        return len(self.sources)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What each row is called: its source, with the frame number where the source holds many pictures."""
        return tuple(map(row_name, self.sources, self.frames.tolist()))

    @cached_property
    def digest(self) -> str:
        """SHA-256 over sources, sizes and frame numbers, but not the root: a moved data set keeps its digest."""
        sha = hashlib.sha256(_joined([str(len(self)), *self.sources]))
        sha.update(self.sizes.astype("<i8").tobytes() + self.frames.astype("<i4").tobytes())
        return sha.hexdigest()


def row_name(source: str, frame: int) -> str:
    """What a row is called wherever it is shown: `a.png`, but `clip.mp4[12]`."""
    return f"{source.rstrip('/')}[{frame}]" if holds_many(source) else source


@dataclass(frozen=True, eq=False)
class Clips:
    """An ordered list of row numbers per sample, repeats included."""

    offsets: np.ndarray
    """(samples + 1,) int64: sample i has indices[offsets[i]:offsets[i + 1]]."""
    indices: np.ndarray
    """(total,) int64 row numbers."""

    @classmethod
    def from_lists(cls, lists: Sequence[Sequence[int]]) -> "Clips":
        lengths = [len(rows) for rows in lists]
        flat = [row for rows in lists for row in rows]
        return cls(np.cumsum([0, *lengths], dtype=np.int64), np.asarray(flat, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """(samples,) how many rows each has."""
        return np.diff(self.offsets)

    def under(self, frames_of: Callable[[int], Sequence[int]]) -> "Clips":
        """Of lists of all frames those that a policy uses, in its order."""
        used = {n: np.asarray(frames_of(n), dtype=np.int64) for n in np.unique(self.lengths).tolist()}
        rows = zip(self.offsets[:-1].tolist(), self.lengths.tolist(), strict=True)
        return Clips.from_lists([self.indices[start + used[n]].tolist() for start, n in rows])

    def take(self, numbers: np.ndarray) -> "Clips":
        """Those of some samples."""
        lengths = self.lengths[numbers]
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        places = np.arange(offsets[-1]) + np.repeat(self.offsets[numbers] - offsets[:-1], lengths)
        return Clips(offsets, self.indices[places])


@dataclass(frozen=True)
class Origin:
    """Where a manifest comes from, and what it is called here. Part of no digest."""

    path: str = ""
    """The folder or list that was read, resolved; empty for a named data set, and where it is unknown."""
    root: str = ""
    """The folder of the files, resolved. Together with the path it is what tells data sets of one title apart."""
    folder: str = ""
    """The folder of the cache that keeps it."""
    label: str = ""
    """What it is called in the answer of a command; empty where that is its title."""
    stamp: str = ""
    """Digest of what says the labels: lists, or the names of files and folders."""
    read: str = ""
    """When it was read (UTC, ISO 8601), where it was not read again now."""
    has_contents: bool = False
    """Whether files are told by their contents instead of their sizes."""
    numbers: tuple[str, ...] = ()
    """The classes that the user says label numbers stand for; empty where nobody does, or there are no numbers."""
    order: str | None = None
    """Of a clip's frames, where the user named it."""

    @property
    def identity(self) -> tuple[str, str]:
        """What tells a path from others of its title."""
        return self.path, self.root

    @property
    def digits(self) -> str:
        """Six digits of the identity, for names."""
        return hashlib.sha256("\0".join(self.identity).encode("utf-8", "surrogateescape")).hexdigest()[:6]


@dataclass(frozen=True, eq=False)
class Manifest:
    """A data set as read from disk: rows (what is encoded) and samples (what is scored)."""

    name: str
    """Its title: a name of the catalogue, or what its path is called. Others may have the same."""
    kind: Kind
    classes: tuple[str, ...]
    """Class names in label order; empty where the samples are unlabelled."""
    rows: Rows
    sample_ids: tuple[str, ...]
    labels: np.ndarray
    """(samples,) int16, index in `classes`, -1 where unknown."""
    folds: np.ndarray
    """(samples,) int16, from 1; 0 where the data set has no folds."""
    clips: dict[str, Clips]
    """Row numbers per sample, by frame policy; still images and texts have the single policy "image"."""
    root: str = ""
    """Where the sources were found; not part of any digest."""
    remarks: tuple[str, ...] = field(default=())
    """What the reader noticed and the user should know, one line each."""
    origin: Origin = Origin()

    def __len__(self) -> int:
        return len(self.sample_ids)

    @property
    def label(self) -> str:
        """What it is called wherever it is shown."""
        return self.origin.label or self.name

    @property
    def folder(self) -> str:
        """The folder of the cache that keeps it."""
        return self.origin.folder or self.name

    @property
    def is_labelled(self) -> bool:
        return bool(len(self.classes)) and bool((self.labels != NO_LABEL).any())

    def covers(self, policy: str) -> bool:
        """Whether the rows cover a frame policy; all frames cover every other."""
        return "image" in self.clips or policy in self.clips or (ALL in self.clips and policy in POLICIES)

    def samples(self, policy: str) -> Clips:
        """Row numbers per sample under a frame policy; a still image has one row under any policy."""
        if "image" in self.clips:
            return self.clips["image"]
        if policy not in self.clips and self.covers(policy):
            return self._of_all(policy)
        if policy not in self.clips:
            raise UsageError(
                f"the rows of {self.label} cover the frame policies {', '.join(self.clips)}, not {policy}: "
                f"extract {self.label} with {option('frames')} {policy!r} first"
            )
        return self.clips[policy]

    def _of_all(self, policy: str) -> Clips:
        if policy not in self._derived:
            self._derived[policy] = self.clips[ALL].under(POLICIES[policy])
        return self._derived[policy]

    @cached_property
    def _derived(self) -> dict[str, Clips]:
        return {}

    @cached_property
    def digest(self) -> str:
        """SHA-256 over rows, samples, labels, folds and clips, but neither root nor remarks."""
        sha = hashlib.sha256(self.rows.digest.encode())
        sha.update(json.dumps([self.name, self.kind, self.classes, len(self), sorted(self.clips)]).encode())
        sha.update(_joined(self.sample_ids))
        for array in (self.labels, self.folds):
            sha.update(array.astype("<i2").tobytes())
        for _, clips in sorted(self.clips.items()):
            sha.update(clips.offsets.astype("<i8").tobytes() + clips.indices.astype("<i8").tobytes())
        return sha.hexdigest()


def _joined(strings: Sequence[str]) -> bytes:
    """Strings as bytes; no source holds a zero byte, but file names may hold bytes that are not UTF-8."""
    return "\0".join(strings).encode("utf-8", "surrogateescape")


@dataclass(frozen=True)
class Sample:
    """One sample as a reader finds it, before rows are numbered."""

    id: str
    source: str
    """The image, the folder of the clip's frames, or the clip's video, relative to the root."""
    label: int = NO_LABEL
    fold: int = NO_FOLD
    n_frames: int = 1
    frame: int = 0
    """Which picture the sample is in a source that holds many."""


@dataclass(frozen=True, slots=True)
class File:
    """One picture to encode; `size` is the whole file's, -1 where it is not on disk, and not part of its identity."""

    source: str
    size: int = field(compare=False)
    frame: int = 0


def image_manifest(name: str, classes: Sequence[str], samples: Sequence[Sample], root: Path, **known) -> Manifest:
    """The manifest of still images: one row per distinct picture, one sample per line or file.

    Raises UsageError where there are no samples, or none of the files is on disk.
    """
    rows: dict[File, int] = {}
    files = [File(one.source, size_of(root, one.source), one.frame) for one in samples]
    clips = {"image": [[rows.setdefault(file, len(rows))] for file in files]}
    return _assemble(name, "images", classes, samples, rows, clips, root, **known)


def clip_manifest(
    name: str,
    classes: Sequence[str],
    samples: Sequence[Sample],
    root: Path,
    frames_of: Callable[[Sample, Sequence[int]], Sequence[File]],
    policies: Iterable[str] = DEFAULT_POLICIES,
    **known,
) -> Manifest:
    """The manifest of clips: the rows are the distinct frames that the given frame policies use.

    `frames_of(sample, numbers)` gives the files of the frames with these numbers. Raises UsageError where there are
    no samples, or none of the frames is on disk.
    """
    rows: dict[File, int] = {}
    clips: dict[str, list[list[int]]] = {policy: [] for policy in policies}
    for sample in samples:
        used = {policy: POLICIES[policy](sample.n_frames) for policy in clips}
        numbers = sorted({number for one_policy in used.values() for number in one_policy})
        numbered = zip(numbers, frames_of(sample, numbers), strict=True)
        row_of = {number: rows.setdefault(file, len(rows)) for number, file in numbered}
        for policy, one_policy in used.items():
            clips[policy].append([row_of[number] for number in one_policy])
    return _assemble(name, "clips", classes, samples, rows, clips, root, **known)


def text_manifest(name: str, classes: Sequence[str], texts: Sequence[tuple[str, int]]) -> Manifest:
    """The manifest of a prompt set: one row per distinct text, one sample per (text, class index) pair."""
    samples = [Sample(f"{classes[label]}-{k}", text, label) for k, (text, label) in enumerate(texts)]
    rows: dict[File, int] = {}
    clips = {"image": [[rows.setdefault(File(text, len(text.encode())), len(rows))] for text, _ in texts]}
    return _assemble(name, "texts", classes, samples, rows, clips, root=None)


def _assemble(
    name: str,
    kind: Kind,
    classes: Sequence[str],
    samples: Sequence[Sample],
    files: Collection[File],
    clips: dict[str, list[list[int]]],
    root: Path | None,
    remarks: Iterable[str] = (),
    numbers: Sequence[str] = (),
) -> Manifest:
    if not samples:
        raise UsageError(f"{root or name}: {name} has no {kind} here: choose the folder or list that holds them")
    if len(classes) > MOST_CLASSES:
        raise UsageError(
            f"{root or name}: {name} has {len(classes):,} classes, and up to {MOST_CLASSES:,} can be told apart: "
            f"give the folder or list whose classes are meant"
        )
    spellings = _refuse_absent(name, kind, samples, files, root)
    return Manifest(
        name=name,
        kind=kind,
        classes=tuple(classes),
        rows=Rows(
            sources=tuple(file.source for file in files),
            sizes=np.array([file.size for file in files], dtype=np.int64),
            frames=np.array([file.frame for file in files], dtype=np.int32),
        ),
        sample_ids=tuple(sample.id for sample in samples),
        labels=np.array([sample.label for sample in samples], dtype=np.int16),
        folds=np.array([sample.fold for sample in samples], dtype=np.int16),
        clips={policy: Clips.from_lists(rows) for policy, rows in clips.items()},
        root=str(root or ""),
        remarks=(*remarks, *spellings),
        origin=Origin(numbers=tuple(numbers)),
    )


def _refuse_absent(
    name: str, kind: Kind, samples: Sequence[Sample], files: Collection[File], root: Path | None
) -> list[str]:
    """Raise UsageError where no file is on disk; remarks on those that are there in another spelling."""
    missing = [file.source for file in files if file.size == NOT_ON_DISK]
    spellings = spelled_otherwise(root, missing) if root and missing else []
    if len(missing) == len(files):
        otherwise = f"; {spellings[0]}" if spellings else f": give the folder that holds them with {option('root')}"
        raise UsageError(
            f"{root}: none of the {len(samples):,} {kind} of {name} are there (the first would be "
            f"{samples[0].source}){otherwise}"
        )
    return spellings


def size_of(root: Path, source: str) -> int:
    """Bytes of a file, -1 where it cannot be found."""
    try:
        return os.stat(f"{root}/{source}".rstrip("/")).st_size  # noqa: PTH116 - a Path per file would cost more than the call
    except OSError:
        return NOT_ON_DISK
