"""Some rows of a store encoded once more, to see how far they are from what is kept."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..cache.cache import TEXT, Cache
from ..cache.header import Header
from ..cache.store import FeatureStore
from ..cache.verify import Finding
from ..commands.keeping import Drift
from ..encoders.node import NODES, Node
from ..errors import ExpclipError
from ..manifests.manifest import NO_FOLD, NO_LABEL, Clips, Kind, Manifest, Rows
from ..pipeline.events import ignore
from ..pipeline.executors import run_plan
from ..pipeline.plan import Portion, Wanted, header_of, make_plan
from ..pipeline.workspace import Workspace

TOLERANCES = {"bfloat16": 0.99, "float16": 0.999, "float32": 0.999}
"""The least cosine that is no damage, by the dtype of the encoder: processors round differently, and float16 is what
is stored. What another model or another picture gives is far below."""


def drifts(workspace: Workspace, folder: str, count: int, seed: int) -> Iterator[Drift | Finding]:
    """How far up to `count` random rows of each store of a data set drift; a note where they cannot be encoded."""
    for store in workspace.cache.stores(folder):
        try:
            yield _drift(workspace, store, count, seed)
        except ExpclipError as error:
            yield Finding("note", store.path, f"not encoded again: {error}")


def _drift(workspace: Workspace, store: FeatureStore, count: int, seed: int) -> Drift:
    rows, root = _rows_of(workspace.cache, store)
    node = node_like(workspace, store.header)
    done = np.concatenate([np.empty(0, np.int64), *(_encoded(store, one) for one in store.finished())])
    drawn = np.sort(np.random.default_rng(seed).permutation(done)[:count])
    if not len(drawn):
        raise ExpclipError("none of its rows is there")
    kept = store.read()[drawn]
    again = _encode(workspace, _some(rows, drawn, root, node), node)
    there = np.isfinite(again.reshape(len(again), -1)).all(axis=1)
    if not there.any():
        raise ExpclipError(f"its {len(drawn):,} pictures are not here")
    cosines = _cosines(kept[there], again[there])
    return Drift(store.path, int(there.sum()), float(cosines.min()), TOLERANCES[store.header.main_dtype or "float32"])


def node_like(workspace: Workspace, header: Header) -> Node:
    """The node that made a store. Raises ExpclipError where it is not here, or the model here is another one."""
    parts = header.spec.get("precision")
    dtypes = parts if isinstance(parts, dict) else {"vision": parts}
    asked = header.spec.get("instruction") if NODES[header.node].has_instruction else ""
    how = (header.protocol or "released", dtypes.get("vision"), asked or "", dtypes.get("t5"))
    node = workspace.models.node(header.node, header.model, *how)
    if node.digest != header.encoder_digest:
        raise ExpclipError(
            f"{header.model} is another model here, or runs otherwise, than when its features were made"
        )
    return node


def _rows_of(cache: Cache, store: FeatureStore) -> tuple[Rows, str]:
    """What the rows of a store are, and the folder of their files."""
    folder, digest = store.path.parent.name, store.header.rows_digest
    texts = cache.texts().get(digest) if folder == TEXT else None
    rows = texts.rows if texts else cache.rows_of_digest(folder, digest)
    if rows is None:
        raise ExpclipError("no manifest here has its rows")
    return rows, cache.root_of(folder) or ""


def _encoded(store: FeatureStore, shard: int) -> np.ndarray:
    """(n,) rows of a shard that have features."""
    receipt = store.receipts.get(shard)
    if receipt is None:
        return np.empty(0, np.int64)
    rows = np.arange(receipt.rows) + store.header.shard_rows(shard).start
    return np.setdiff1d(rows, [one.row for one in receipt.failed])


def _some(rows: Rows, drawn: np.ndarray, root: str, node: Node) -> Manifest:
    """A data set of some rows of another."""
    kind: Kind = "texts" if NODES[node.name].of == "texts" else "images"
    some = Rows(tuple(rows.sources[row] for row in drawn), rows.sizes[drawn], rows.frames[drawn])
    clips = Clips.from_lists([[row] for row in range(len(drawn))])
    labels = np.full(len(drawn), NO_LABEL, np.int16)
    folds = np.full(len(drawn), NO_FOLD, np.int16)
    return Manifest("again", kind, (), some, some.names, labels, folds, {"image": clips}, root)


def _encode(workspace: Workspace, manifest: Manifest, node: Node) -> np.ndarray:
    """(rows, *row_shape) by the ordinary plan, into a cache that goes away."""
    wanted, device = [Wanted(manifest, (node,))], workspace.models.here
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        cache = Cache(Path(place))
        plan = make_plan(cache, wanted, Portion(max_pixels=workspace.options.max_pixels), device)
        run_plan(cache, plan, wanted, replace(workspace.options, device=device), ignore)
        return FeatureStore.open(cache.store_path(header_of(manifest, node))).read()


def _cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(n,) between rows, each taken as one vector."""
    a, b = (values.reshape(len(values), -1).astype(np.float64) for values in (one, other))
    return (a * b).sum(axis=1) / np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-300)
