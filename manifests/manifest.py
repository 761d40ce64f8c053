"""A manifest: the distinct things to encode, and beside them what is known about them."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from ..errors import UsageError
from .frames import DEFAULT_POLICIES, POLICIES

Kind = Literal["images", "clips", "texts"]
NO_LABEL = -1
NO_FOLD = 0
NOT_ON_DISK = -1


@dataclass(frozen=True, eq=False)
class Rows:
    """The distinct items of a data set, in order: all that is ever encoded."""

    sources: tuple[str, ...]
    """Path of the image relative to the root, with forward slashes; the text itself in a manifest of texts."""
    sizes: np.ndarray
    """(rows,) int64, bytes; -1 where the list names a file that is not on disk."""
    frames: np.ndarray
    """(rows,) int32, frame number within the clip, 0 for a still image."""

    def __len__(self) -> int:
        return len(self.sources)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over sources, sizes and frame numbers. The root is left out: a moved data set keeps it."""
        sha = hashlib.sha256()
        for row in zip(self.sources, self.sizes.tolist(), self.frames.tolist(), strict=True):
            sha.update(json.dumps(row).encode() + b"\n")
        return sha.hexdigest()


@dataclass(frozen=True, eq=False)
class Clips:
    """For each sample an ordered list of row numbers, repeats included."""

    offsets: np.ndarray
    """(samples + 1,) int64: sample i has indices[offsets[i]:offsets[i + 1]]."""
    indices: np.ndarray
    """(total,) int64 row numbers."""

    @classmethod
    def from_lists(cls, lists: Sequence[Sequence[int]]) -> "Clips":
        lengths = [len(rows) for rows in lists]
        flat = [row for rows in lists for row in rows]
        return cls(np.cumsum([0, *lengths], dtype=np.int64), np.asarray(flat, dtype=np.int64))


@dataclass(frozen=True, eq=False)
class Manifest:
    """A data set as read from disk: rows (what is encoded) and samples (what is scored)."""

    name: str
    kind: Kind
    classes: tuple[str, ...]
    """Class names in label order; empty where the samples are unlabelled."""
    rows: Rows
    sample_ids: tuple[str, ...]
    labels: np.ndarray
    """(samples,) int16 index in `classes`, -1 where unknown."""
    folds: np.ndarray
    """(samples,) int16 from 1, 0 where the data set has no folds."""
    clips: dict[str, Clips]
    """Row numbers of each sample by frame policy; "image" is the only policy of still images and texts."""
    root: str = ""
    """Where the sources were found. No part of any digest."""
    remarks: tuple[str, ...] = field(default=())
    """What the reader noticed and a person should know, one line each."""

    def __len__(self) -> int:
        return len(self.sample_ids)

    @property
    def is_labelled(self) -> bool:
        return bool(len(self.classes)) and bool((self.labels != NO_LABEL).any())

    def samples(self, policy: str) -> Clips:
        """Row numbers of each sample under a frame policy; a still image has one row under any of them."""
        if "image" in self.clips:
            return self.clips["image"]
        if policy not in self.clips:
            covered = ", ".join(self.clips)
            raise UsageError(
                f"the rows of {self.name} cover the frame policies {covered}, not {policy}: "
                f"run `expclip extract {self.name} --frames {policy}` first"
            )
        return self.clips[policy]

    @cached_property
    def digest(self) -> str:
        """SHA-256 over rows, samples, labels, folds and clips; the root and the remarks are left out."""
        sha = hashlib.sha256(self.rows.digest.encode())
        sha.update(json.dumps([self.name, self.kind, self.classes, self.sample_ids]).encode())
        for array in (self.labels, self.folds):
            sha.update(np.ascontiguousarray(array).tobytes())
        for policy, clips in sorted(self.clips.items()):
            sha.update(policy.encode() + clips.offsets.tobytes() + clips.indices.tobytes())
        return sha.hexdigest()


@dataclass(frozen=True)
class Sample:
    """One sample as a reader finds it, before rows are numbered."""

    id: str
    source: str
    """The image, or the folder of the clip's frames, relative to the root."""
    label: int = NO_LABEL
    fold: int = NO_FOLD
    n_frames: int = 1


@dataclass(frozen=True)
class File:
    """One file to encode; `size` is -1 where it is not on disk."""

    source: str
    size: int
    frame: int = 0


def image_manifest(name: str, classes: Sequence[str], samples: Sequence[Sample], root: Path, **known) -> Manifest:
    """The manifest of still images: one row a distinct file, one sample a line or file.

    Raises UsageError where there is no sample.
    """
    files = [[File(sample.source, _size(root / sample.source))] for sample in samples]
    return _assemble(name, "images", classes, samples, {"image": files}, root, **known)


def clip_manifest(
    name: str,
    classes: Sequence[str],
    samples: Sequence[Sample],
    root: Path,
    frames_of: Callable[[Sample], Sequence[File]],
    policies: Iterable[str] = DEFAULT_POLICIES,
    **known,
) -> Manifest:
    """The manifest of clips: the rows are the distinct frames that the given frame policies use.

    `frames_of(sample)` lists the n_frames frames of a clip in order. Raises UsageError where there is no sample.
    """
    frames: dict[str, list[list[File]]] = {policy: [] for policy in policies}
    for sample in samples:
        files = frames_of(sample)
        for policy, used in frames.items():
            used.append([files[k] for k in POLICIES[policy](sample.n_frames)])
    return _assemble(name, "clips", classes, samples, frames, root, **known)


def text_manifest(name: str, classes: Sequence[str], texts: Sequence[tuple[str, int]]) -> Manifest:
    """The manifest of a prompt set: one row a distinct text, one sample a (text, class index) pair."""
    samples = [Sample(f"{classes[label]}-{k}", text, label) for k, (text, label) in enumerate(texts)]
    files = [[File(sample.source, len(sample.source.encode()))] for sample in samples]
    return _assemble(name, "texts", classes, samples, {"image": files}, root=None)


def _assemble(
    name: str,
    kind: Kind,
    classes: Sequence[str],
    samples: Sequence[Sample],
    files: dict[str, list[list[File]]],
    root: Path | None,
    remarks: Iterable[str] = (),
) -> Manifest:
    if not samples:
        raise UsageError(f"{name}: nothing found{f' in {root}' if root else ''}")
    distinct = _distinct_files(files)
    number = {file: row for row, file in enumerate(distinct)}
    clips = {
        policy: Clips.from_lists([[number[file] for file in used] for used in per_sample])
        for policy, per_sample in files.items()
    }
    return Manifest(
        name=name,
        kind=kind,
        classes=tuple(classes),
        rows=Rows(
            sources=tuple(file.source for file in distinct),
            sizes=np.array([file.size for file in distinct], dtype=np.int64),
            frames=np.array([file.frame for file in distinct], dtype=np.int32),
        ),
        sample_ids=tuple(sample.id for sample in samples),
        labels=np.array([sample.label for sample in samples], dtype=np.int16),
        folds=np.array([sample.fold for sample in samples], dtype=np.int16),
        clips=clips,
        root=str(root or ""),
        remarks=tuple(remarks),
    )


def _distinct_files(files: dict[str, list[list[File]]]) -> list[File]:
    """Sample by sample, the frames that any policy uses, in frame order; each file once."""
    distinct: dict[File, None] = {}
    for per_policy in zip(*files.values(), strict=True):
        used = {file for one_policy in per_policy for file in one_policy}
        distinct.update(dict.fromkeys(sorted(used, key=lambda file: (file.frame, file.source))))
    return list(distinct)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return NOT_ON_DISK
