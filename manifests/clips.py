"""Clips from wherever they are named: a folder of frames, a video, or a picture file that holds several."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from .disk import by_number, frames_in, holds_many, is_video_name
from .manifest import NOT_ON_DISK, File, Manifest, Sample, clip_manifest, size_of
from .reading import Count, Order, Reading
from .remarks import remark
from .videos import pyav


def frame_count(root: Path, source: str, count: Count) -> int:
    """How many frames a clip has on disk; 1 where it has none, so that a row that fails keeps its place.

    `count` tells how many a file has.
    """
    return max(1, count(root / source) if holds_many(source) else len(frames_in(root, source)[0]))


def clips_on_disk(
    name: str,
    classes: Sequence[str],
    samples: Sequence[Sample],
    root: Path,
    reading: Reading,
    remarks: Iterable[str] = (),
    numbers: Sequence[str] = (),
) -> Manifest:
    """The manifest of clips; a frame that a list promises but the disk lacks keeps its place.

    In a folder of frames it has size -1. Files are not opened to check what the list says: their frames fail later.
    """
    found = _Found()
    if any(is_video_name(sample.source) for sample in samples):
        pyav()  # better to fail here than in the middle of the work

    def frames_of(sample: Sample, numbers: Sequence[int]) -> list[File]:
        if holds_many(sample.source):
            size = size_of(root, sample.source)
            return [File(sample.source, size, number) for number in numbers]
        names = _frames_in_order(root, sample, reading, found)
        return [_frame(root, sample, names, number) for number in numbers]

    said = chain(remarks, found.remarks(reading.order))  # read after the frames have been looked for
    known: dict[str, Any] = {"remarks": said, "numbers": numbers}
    return clip_manifest(name, classes, samples, root, frames_of, reading.policies, **known)


@dataclass
class _Found:
    """What was odd, clip by clip; a clip that is listed several times counts once."""

    unreadable: dict[str, str] = field(default_factory=dict)
    empty: dict[str, str] = field(default_factory=dict)
    more: dict[str, str] = field(default_factory=dict)
    fewer: dict[str, str] = field(default_factory=dict)
    unpadded: dict[str, str] = field(default_factory=dict)

    def remarks(self, order: Order) -> Iterator[str]:
        said = "on disk than the list says"
        how = "as numbers, 1, 2, …, 10" if order == "native" else "as text, 1, 10, …, 2, as the released code does"
        zeros = f"frame numbers without leading zeros and {{}} read {how}"
        yield from remark(self._each("unreadable"), "clip's folder cannot be read", "clips' folders cannot be read")
        yield from remark(self._each("empty"), "clip has no frames on disk", "clips have no frames on disk")
        yield from remark(self._each("more"), f"clip has more frames {said}", f"clips have more frames {said}")
        yield from remark(self._each("fewer"), f"clip has fewer frames {said}", f"clips have fewer frames {said}")
        yield from remark(
            self._each("unpadded"), f"clip has {zeros.format('was')}", f"clips have {zeros.format('were')}"
        )

    def _each(self, kind: str) -> list[str]:
        return [f"{clip}{detail}" for clip, detail in getattr(self, kind).items()]


def _frames_in_order(root: Path, sample: Sample, reading: Reading, found: _Found) -> list[str]:
    """Names of the frames on disk, and a note of what is odd about them."""
    names, trouble = frames_in(root, sample.source)
    clip, counts = sample.source, f": {len(names):,} on disk, {sample.n_frames:,} in the list"
    if trouble:
        found.unreadable[clip] = f": {trouble}"
    elif not names:
        found.empty[clip] = ""
    elif len(names) > sample.n_frames:
        found.more[clip] = counts
    elif len(names) < sample.n_frames:
        found.fewer[clip] = counts
    numbered = by_number(names)
    if numbered != names:
        found.unpadded[clip] = ""
    return numbered if reading.order == "native" else names


def _frame(root: Path, sample: Sample, names: Sequence[str], number: int) -> File:
    if number >= len(names):
        return File(f"{sample.source}/<frame {number + 1} of {sample.n_frames}>", NOT_ON_DISK, number)
    source = f"{sample.source}/{names[number]}"
    return File(source, size_of(root, source), number)
