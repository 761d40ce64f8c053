"""Cached features as arrays, for notebooks and for the stages."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ..cache.cache import Cache
from ..cache.header import Header
from ..cache.store import FeatureStore
from ..encoders.families import Models
from ..encoders.names import DEFAULT_CLIP, DEFAULT_TEACHER
from ..encoders.node import NODES
from ..errors import UsageError, one_of, option
from ..manifests.manifest import NO_LABEL, Manifest
from ..manifests.prompts import DEFAULT_INSTRUCTION
from ..settings import cache_folder, read_settings
from .executors import RunOptions
from .needs import Need, Needs
from .workspace import Workspace


@dataclass(frozen=True, eq=False)
class Features:
    """The features of all rows of a data set under one encoder."""

    array: np.ndarray
    """(rows, *row_shape) as stored; NaN where `mask` is False."""
    mask: np.ndarray
    """(rows,) bool: whether the row could be encoded."""
    manifest: Manifest
    """The samples: folds, and for clips the rows of each."""
    header: Header

    @property
    def classes(self) -> tuple[str, ...]:
        return self.manifest.classes

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """What each row is called: its source, and the frame number where the source holds many pictures."""
        return self.manifest.rows.names

    @cached_property
    def labels(self) -> np.ndarray:
        """(rows,) int16: class index of the row's sample, -1 where it has none."""
        labels = np.full(len(self.array), NO_LABEL, dtype=np.int16)
        for clips in self.manifest.clips.values():
            labels[clips.indices] = np.repeat(self.manifest.labels, clips.lengths)
        return labels


def open_features(
    dataset: str,
    node: str = "clip_image",
    *,
    model: str | None = None,
    instruction: str = DEFAULT_INSTRUCTION,
    protocol: str | None = None,
    cache: Path | str | None = None,
) -> Features:
    """Read cached features into memory; needs neither images nor weights.

    `node` is clip_image, query_tokens or llm; `model` defaults to the real models, `protocol` to the model's own.
    Raises UsageError naming the command that makes the features where they are not there or not complete.
    """
    images = [name for name, kind in NODES.items() if kind.of == "images"]
    if node not in images:
        raise UsageError(f"{option('node')} {node!r}: choose {one_of(images)}")
    named = Path(cache) if cache else None
    settings = read_settings()
    kept = Cache(cache_folder(named, settings))
    options = ("model", "instruction", "protocol")
    workspace = Workspace(
        kept, settings.roots, Models(), RunOptions(), named, texts=(dataset,), options_asked=options
    )
    usual = DEFAULT_CLIP if NODES[node].role == "clip" else DEFAULT_TEACHER
    asked = instruction if NODES[node].has_instruction else ""
    need = Need(dataset, node, model or usual, asked, protocol)
    needs = Needs(workspace, makes=False)
    needs.answers([need])
    manifest, store = needs.stores()[need]
    return read_features(store, manifest)


def read_features(store: FeatureStore, manifest: Manifest) -> Features:
    """A store's features with what is known of the rows."""
    array = store.read()
    mask = np.ones(len(array), dtype=bool)
    mask[[row.row for row in store.failed_rows()]] = False
    return Features(array, mask, manifest, store.header)
