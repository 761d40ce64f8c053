"""Cached features as arrays, for notebooks and for the stages that only read."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..cache.cache import Cache
from ..cache.store import FeatureStore, Header
from ..encoders.names import DEFAULT_CLIP, DEFAULT_TEACHER, clip_name, teacher_name
from ..errors import UsageError
from ..manifests.catalogue import DataSetRef, parse_dataset
from ..manifests.frames import DEFAULT_POLICIES
from ..manifests.manifest import NO_LABEL, Manifest
from ..manifests.prompts import DEFAULT_INSTRUCTION, instruction_name
from ..settings import cache_folder, cache_option, read_config


@dataclass(frozen=True, eq=False)
class Features:
    """The features of all rows of a data set under one encoder."""

    array: np.ndarray
    """(rows, *row_shape) as stored; NaN where `mask` is False."""
    mask: np.ndarray
    """(rows,) bool: whether the row could be encoded."""
    ids: tuple[str, ...]
    """What each row is called: its source, and the frame number where the source holds many pictures."""
    labels: np.ndarray
    """(rows,) int16: class index of the row's sample, -1 where it has none."""
    classes: tuple[str, ...]
    manifest: Manifest
    """The samples: folds, and for clips the rows of each."""
    header: Header


def open_features(
    dataset: str,
    node: str = "clip_image",
    *,
    model: str | None = None,
    instruction: str | None = None,
    protocol: str = "released",
    cache: Path | str | None = None,
) -> Features:
    """Read cached features into memory; needs neither images nor weights.

    `node` is clip_image, query_tokens or llm; `model` defaults to the real models. Raises UsageError naming the
    command that makes the features where they are not there or not complete.
    """
    where = Cache(cache_folder(Path(cache) if cache else None, read_config()))
    manifest = cached_manifest(where, parse_dataset(dataset, where.datasets()))
    store = complete_store(where, manifest, Choice(dataset, node, model, instruction, protocol))
    return read_features(store, manifest)


def cached_manifest(cache: Cache, ref: DataSetRef) -> Manifest:
    """The manifest of a data set as `extract` last read it. Raises UsageError where it never did."""
    manifest = known_manifest(cache, ref)
    if manifest is None:
        command = shlex.join(["expclip", "extract", str(ref.path or ref.name), *cache_option(cache.root)])
        raise UsageError(f"{cache.root} has nothing of {ref.name}: run `{command}`")
    return manifest


def known_manifest(cache: Cache, ref: DataSetRef, root: Path | None = None) -> Manifest | None:
    """The cached manifest of a data set; None where there is none, or where the path is another folder or list.

    A path that exists no more is known by its name.
    """
    manifest = cache.current_manifest(ref.name)
    if manifest is None or ref.path is None or not ref.path.exists():
        return manifest
    asked = root or (ref.path if ref.path.is_dir() else ref.path.parent)
    return manifest if Path(manifest.root) == asked.expanduser().absolute() else None


@dataclass(frozen=True)
class Choice:
    """Which cached features a command means."""

    dataset: str
    """As the user named it."""
    node: str
    model: str | None = None
    instruction: str | None = None
    protocol: str = "released"
    dtype: str | None = None
    """Number format of the CLIP tower; by default whichever is there."""
    frames: str | None = None

    def fields(self, manifest: Manifest) -> dict[str, str]:
        """The values that the header of such a store has."""
        wanted = {"model": canonical_model(self.node, self.model), "protocol": self.protocol}
        if self.node == "llm":
            wanted["instruction"] = instruction_name(self.instruction or DEFAULT_INSTRUCTION)
        if self.dtype and self.node == "clip_image":
            wanted["precision"] = self.dtype
        return wanted | {"rows_digest": manifest.rows.digest}

    def command(self, cache: Cache) -> str:
        """The `expclip extract` that puts them into a cache."""
        options = {
            "--features": self.node,
            "--clip" if self.node == "clip_image" else "--teacher": self.model,
            "--instruction": self.instruction if self.node == "llm" else None,
            "--protocol": self.protocol if self.protocol != "released" else None,
            "--dtype": self.dtype,
            "--frames": self.frames if self.frames not in DEFAULT_POLICIES else None,
        }
        given = [part for option, value in options.items() if value for part in (option, value)]
        return shlex.join(["expclip", "extract", self.dataset, *given, *cache_option(cache.root)])


def chosen_store(cache: Cache, manifest: Manifest, choice: Choice) -> FeatureStore:
    """The one store of a choice. Raises UsageError naming the command that makes it."""
    return cache.select(manifest.name, choice.node, choice.command(cache), **choice.fields(manifest))


def complete_store(cache: Cache, manifest: Manifest, choice: Choice) -> FeatureStore:
    """The one store of a choice that is complete. Raises UsageError naming the command that makes it."""
    store = chosen_store(cache, manifest, choice)
    if not store.is_complete():
        raise UsageError(
            f"{store.path.name}: {store.rows_done():,} of {store.header.rows:,} rows are extracted: "
            f"run `{choice.command(cache)}`"
        )
    return store


def canonical_model(node: str, model: str | None) -> str:
    """What a model is called in the cache; a digest stays as it is."""
    if model is not None and is_digest(model):
        return model
    if node.startswith("clip"):
        return clip_name(model or DEFAULT_CLIP).canonical
    return teacher_name(model or DEFAULT_TEACHER).canonical


def is_digest(text: str) -> bool:
    """Whether a model was named by the first digits of its encoder digest."""
    return re.fullmatch(r"[0-9a-f]{8,64}", text) is not None


def read_features(store: FeatureStore, manifest: Manifest) -> Features:
    """A store's features with what is known of the rows."""
    array = store.read()
    mask = np.ones(len(array), dtype=bool)
    mask[[row.row for row in store.failed_rows()]] = False
    labels = np.full(len(array), NO_LABEL, dtype=np.int16)
    for clips in manifest.clips.values():
        labels[clips.indices] = np.repeat(manifest.labels, np.diff(clips.offsets))
    return Features(array, mask, manifest.rows.names, labels, manifest.classes, manifest, store.header)
