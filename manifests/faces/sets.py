"""The built-in data sets: what they hold, and how they get onto disk completely or not at all."""

import io
import os
import shutil
import time
from collections.abc import Callable, Iterable
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, cast

import numpy as np
from PIL import Image

from ...aside import beside, clear
from .action_units import CLASSES
from .sampling import Face, sample_clip, sample_face

IMAGE_SIZE = 96
_JPEG_QUALITY = 92
_JPEG_444 = 0  # lips and irises are too small to share colours with their neighbours
_LENGTH_STREAM = 2

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class FaceSet:
    """A data set of `count` members drawn from the series `seed`; subclasses define the members."""

    count: int
    seed: int
    members_per_batch: ClassVar[int] = 48

    def n_images(self, index: int) -> int:
        """Number of images of one member."""
        return 1

    def prepare(self, folder: Path) -> None:
        """Create the sub-folders and lists of the set."""

    def write(self, index: int, folder: Path) -> None:
        """Render one member into the folder."""
        raise NotImplementedError


@dataclass(frozen=True)
class UnlabelledSet(FaceSet):
    """A plain folder of images `00000.jpg`, …, half of them expressions, half random action units."""

    def write(self, index: int, folder: Path) -> None:
        _save(sample_face(self.seed, index), folder / f"{index:05d}.jpg")


@dataclass(frozen=True)
class LabelledSet(FaceSet):
    """An image folder `<class name>/00000.jpg`, …, numbered across the classes, which take turns."""

    def prepare(self, folder: Path) -> None:
        for name in CLASSES:
            (folder / name).mkdir()

    def write(self, index: int, folder: Path) -> None:
        label = index % len(CLASSES)
        _save(sample_face(self.seed, index, label), folder / CLASSES[label] / f"{index:05d}.jpg")


@dataclass(frozen=True)
class ClipSet(FaceSet):
    """Frame folders `clips/<clip id>/0001.jpg`, … and a list of lines `clips/<clip id> <frames> <label>`."""

    list_name: str = "faces-clips.txt"
    members_per_batch: ClassVar[int] = 2

    def n_images(self, index: int) -> int:
        """Length of a clip in frames: 12 to 16 for every seventh of a class, 17 to 40 for the others."""
        number, label = divmod(index, len(CLASSES))
        short = (number + label) % 7 == 0
        rng = np.random.default_rng((self.seed, index, _LENGTH_STREAM))
        return int(rng.integers(12, 17) if short else rng.integers(17, 41))

    def prepare(self, folder: Path) -> None:
        lines = []
        for index in range(self.count):
            (folder / "clips" / _clip_id(index)).mkdir(parents=True)
            lines.append(f"clips/{_clip_id(index)} {self.n_images(index)} {index % len(CLASSES)}\n")
        (folder / self.list_name).write_text("".join(lines), encoding="utf-8")

    def write(self, index: int, folder: Path) -> None:
        frames = sample_clip(self.seed, index, index % len(CLASSES), self.n_images(index))
        for number, frame in enumerate(frames, start=1):
            _save(frame, folder / "clips" / _clip_id(index) / f"{number:04d}.jpg")


SETS: dict[str, FaceSet] = {
    "faces-train": UnlabelledSet(count=6000, seed=1101),
    "faces-test": LabelledSet(count=1600, seed=2202),
    "faces-clips": ClipSet(count=208, seed=3303),
}
TRAIN_PARTS: dict[str, FaceSet] = {
    "faces-test-train": LabelledSet(count=1600, seed=14141),
    "faces-clips-train": ClipSet(count=832, seed=15151),
}
"""What heads learn from labels, where SETS are what the demonstration is made of."""


def ensure_set(name: str, folder: Path, progress: Progress | None = None) -> Path:
    """Render a built-in set into `folder` unless it is already there, and return `folder`.

    The folder appears complete or not at all: images are rendered into a temporary sibling, on all cores, and flushed
    to the disk; then it is renamed. If another process was faster, its folder is kept; what a killed one left is
    removed. `progress` is called now and then with the numbers of images done and in total. Raises ValueError for an
    unknown name and OSError if the disk refuses, after removing the temporary folder.
    """
    known = SETS | TRAIN_PARTS
    if name not in known:
        raise ValueError(f"unknown set {name!r}; known: {', '.join(known)}")
    folder = Path(folder)
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    clear(folder)
    partial = beside(folder)
    try:
        partial.mkdir()
        known[name].prepare(partial)
        _render(known[name], partial, progress)
        try:
            partial.rename(folder)
        except OSError:
            if not folder.exists():  # otherwise another process was faster
                raise
    finally:
        _discard(partial)
    return folder


def _render(face_set: FaceSet, folder: Path, progress: Progress | None) -> None:
    step = face_set.members_per_batch
    batches = [range(start, min(start + step, face_set.count)) for start in range(0, face_set.count, step)]
    from joblib import Parallel, delayed

    jobs = [delayed(_render_batch)(face_set, batch, folder) for batch in batches]
    try:
        finished = Parallel(n_jobs=-1, return_as="generator_unordered")(jobs)
        _follow(face_set, folder, cast(Iterable[int], finished), progress)
    except BrokenExecutor:
        # A worker was killed, perhaps for lack of memory: a single process needs less.
        _follow(face_set, folder, (_render_batch(face_set, batch, folder) for batch in batches), progress)


def _follow(face_set: FaceSet, folder: Path, finished: Iterable[int], progress: Progress | None) -> None:
    total = sum(face_set.n_images(index) for index in range(face_set.count))
    done = 0
    for n_images in finished:
        done += n_images
        os.utime(folder)  # a sign of life for other machines, which see no process of this one
        if progress is not None:
            progress(done, total)


def _render_batch(face_set: FaceSet, indices: range, folder: Path) -> int:
    for index in indices:
        face_set.write(index, folder)
    return sum(face_set.n_images(index) for index in indices)


def _save(face: Face, path: Path) -> None:
    picture = io.BytesIO()  # Pillow takes a file for written of which the disk took only a part
    Image.fromarray(face.draw(IMAGE_SIZE)).save(picture, "JPEG", quality=_JPEG_QUALITY, subsampling=_JPEG_444)
    with path.open("wb") as file:
        file.write(picture.getbuffer())
        file.flush()
        os.fsync(file.fileno())


def _clip_id(index: int) -> str:
    return f"{index:04d}"


def _discard(folder: Path) -> None:
    # A worker that has not stopped yet may add a file while the folder is being emptied.
    for _ in range(5):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            break
        time.sleep(0.05)
