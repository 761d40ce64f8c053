"""The pictures of a prediction, as features: from the cache, or of files given one by one, which are kept nowhere."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from ...cache.cache import Cache
from ...cache.header import Header
from ...cache.store import FeatureStore
from ...commands.predict import Predict
from ...encoders.node import Node
from ...manifests.clips import clips_on_disk, frame_count
from ...manifests.disk import holds_many, is_image_name, is_video_name, kind_of, walk
from ...manifests.manifest import Clips, Manifest, Sample, image_manifest
from ...manifests.reading import Reading
from ...manifests.remarks import count_of
from ...pipeline.needs import Need, Needs, node_of
from ...pipeline.plan import Wanted, header_of
from ...pipeline.workspace import Workspace
from ...reports.console import say

FILES = "files"
"""What files are called that are given one by one."""


@dataclass(frozen=True, eq=False)
class Pictures:
    """Images, or clips, with their features."""

    need: Need
    manifest: Manifest
    header: Header
    features: np.ndarray
    """(rows, L) as stored; NaN where they failed."""
    failed: dict[int, str]
    """By row: why it could not be encoded."""

    def readable(self, clips: Clips) -> np.ndarray:
        """(n,) numbers of the samples of which every row could be encoded."""
        mask = np.ones(len(self.features), dtype=bool)
        mask[list(self.failed)] = False
        return np.flatnonzero(np.logical_and.reduceat(mask[clips.indices], clips.offsets[:-1]))

    def error(self, rows: Sequence[int]) -> str:
        """Why a sample with some rows has no label; empty where it has one."""
        return next((self.failed[row] for row in rows if row in self.failed), "")

    def place(self, rows: np.ndarray, sample: str) -> tuple[str, int | None]:
        """The file of a sample, or the folder of its frames, and its frame number if the file holds other samples."""
        if self.manifest.kind == "clips":
            return self._path(sample), None
        source = self.manifest.rows.sources[rows[0]]
        return self._path(source), int(self.manifest.rows.frames[rows[0]]) if holds_many(source) else None

    def _path(self, source: str) -> str:
        """As the user can open it."""
        return os.path.relpath(f"{self.manifest.root}/{source}".rstrip("/"))


@dataclass(frozen=True, eq=False)
class Asked:
    """Pictures whose features are not made yet."""

    need: Need
    manifest: Manifest
    header: Header


class Gathered:
    """All that is to be predicted: first what it is, then its features."""

    def __init__(self, request: Predict, workspace: Workspace, paths: Sequence[str], fitted_on: str = ""):
        self._request, self._workspace = request, workspace
        self._needs = Needs(workspace, makes=True)
        kept = [path for path in paths if not is_picture_file(path)]
        every = [*kept, fitted_on] if fitted_on else kept
        known = {path: self._asked(path) for path in every}
        self._labelled = known.get(fitted_on)
        self._kept = [known[path] for path in kept]
        files = file_manifests([path for path in paths if is_picture_file(path)], request.frames)
        self._of_files = list(map(self._of_file, files))

    @property
    def asked(self) -> list[Asked]:
        """What is to be predicted."""
        return [*self._kept, *(one for one, _ in self._of_files)]

    @property
    def every(self) -> list[Asked]:
        """The same, and the data set that the temperature is fitted to."""
        return [*self.asked, *([self._labelled] if self._labelled else [])]

    def pictures(self) -> Iterator[Pictures]:
        """What is to be predicted, with features, which are made where they are missing."""
        yield from map(self._of_cache, self._kept)
        for one, node in self._of_files:
            with _kept_nowhere(self._workspace) as workspace:
                workspace.make([Wanted(one.manifest, (node,))], None, "predict")
                yield _read(one, FeatureStore.open(workspace.cache.store_of(one.header, one.manifest)))

    def labelled(self) -> Pictures:
        """The data set that the temperature is fitted to."""
        assert self._labelled is not None
        return self._of_cache(self._labelled)

    def _of_cache(self, one: Asked) -> Pictures:
        manifest, store = self._stores[one.need]
        return _read(replace(one, manifest=manifest), store)

    @cached_property
    def _stores(self) -> dict[Need, tuple[Manifest, FeatureStore]]:
        return self._needs.stores()

    def _asked(self, dataset: str) -> Asked:
        need = self._need(dataset)
        (answer,) = self._needs.answers([need])
        return Asked(need, self._needs.manifest(dataset), answer.header)

    def _of_file(self, manifest: Manifest) -> tuple[Asked, Node]:
        """Files that are given one by one, and what makes their features."""
        need = self._need(manifest.name)
        node = node_of(self._workspace, need, manifest)
        return Asked(need, manifest, header_of(manifest, node)), node

    def _need(self, dataset: str) -> Need:
        request = self._request
        return Need(dataset, "clip_image", request.clip, "", request.protocol, request.dtype, request.frames)


def is_picture_file(path: str) -> bool:
    """Whether a path is an image or a video, and no list, folder or name."""
    return (is_image_name(path) or is_video_name(path)) and kind_of(Path(path)) == "file"


def videos_beside_images(paths: Sequence[str]) -> Iterator[str]:
    """The videos in folders of images, which no data set holds: they count as given one by one, which is said."""
    for path in paths:
        files, _ = walk(Path(path), videos=True) if kind_of(Path(path)) == "folder" else ([], ())
        videos = [file for file in files if is_video_name(file)]
        if videos and len(videos) < len(files):
            said = count_of(len(videos), "video has a row of its own", "videos have rows of their own")
            say(f"{path}: {said}, behind those of the images")
            yield from (f"{path}/{file}" for file in videos)


def file_manifests(paths: Sequence[str], frames: str) -> list[Manifest]:
    """Files that are given one by one as images, and as clips."""
    found = [Path(path).absolute() for path in dict.fromkeys(paths)]
    if not found:
        return []
    root = Path(os.path.commonpath([path.parent for path in found]))
    sources = [path.relative_to(root).as_posix() for path in found]
    images = [Sample(one, one) for one in sources if is_image_name(one)]
    reading = Reading((frames,))
    clips = [
        Sample(one, one, n_frames=frame_count(root, one, reading.count)) for one in sources if is_video_name(one)
    ]
    manifests = [image_manifest(FILES, (), images, root)] if images else []
    return manifests + ([clips_on_disk(FILES, (), clips, root, reading)] if clips else [])


@contextmanager
def _kept_nowhere(workspace: Workspace) -> Iterator[Workspace]:
    """The workspace with a cache that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="expclip-") as folder:
        yield replace(workspace, cache=Cache(Path(folder)), is_kept=False)


def _read(asked: Asked, store: FeatureStore) -> Pictures:
    failed = {one.row: one.error for one in store.failed_rows()}
    return Pictures(asked.need, asked.manifest, store.header, store.read(), failed)
