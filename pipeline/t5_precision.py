"""In which precision a T5 goes on: what was begun in one is finished in it, on whichever processor.

Two kinds of machines that fill one cache would else make half of two stores. It is decided once, where work is
planned, and is part of the encoder's digest: the machines that do the work, Dask's too, are not asked.
"""

from collections.abc import Callable, Collection, Iterable
from contextlib import suppress

from ..cache.cache import Cache
from ..cache.store import FeatureStore
from ..encoders.dtypes import T5_DTYPES
from ..encoders.node import Node
from ..errors import ExpclipError
from ..manifests.manifest import Manifest
from .plan import header_of


def continued(cache: Cache, make: Callable[[str | None], Node], manifest: Manifest | None = None) -> Node:
    """The node in the precision of T5 in which the cache has most rows of it, by the same weights and instruction.

    Rows of a manifest count first, then those of its data set as it was before, then those of any. `make` gives the
    node in a precision that is kept, or for None in the one that is asked for or usual. That is the answer where the
    cache has none, or as many rows of both.
    """
    nodes = {node.digest: node for node in map(make, (None, *T5_DTYPES))}
    first = next(iter(nodes.values()))
    if len(nodes) == 1:  # it has no T5, or a dtype was asked for
        return first
    rows: dict[str, int] = {}
    if manifest is not None:
        rows = _begun(cache, nodes.values(), manifest) or _done(cache.find(manifest.folder, first.name), nodes)
    rows = rows or _done(cache.find(None, first.name), nodes)
    return max(nodes.values(), key=lambda node: rows.get(node.digest, -1))


def _begun(cache: Cache, nodes: Iterable[Node], manifest: Manifest) -> dict[str, int]:
    """How many rows of a manifest are there, by the digest of those nodes that have a store.

    One that cannot be read is a beginning without rows: the plan says what to do with it.
    """
    paths = {node.digest: cache.store_of(header_of(manifest, node), manifest) for node in nodes}
    rows = {digest: 0 for digest, path in paths.items() if path.exists()}
    for digest in rows:
        with suppress(ExpclipError):
            rows[digest] = FeatureStore.open(paths[digest]).rows_done()
    return rows


def _done(stores: Iterable[FeatureStore], digests: Collection[str]) -> dict[str, int]:
    """How many rows some stores have, by their encoder's digest."""
    rows: dict[str, int] = {}
    for digest, store in ((store.header.encoder_digest, store) for store in stores):
        if digest in digests and (done := store.rows_done()):
            rows[digest] = rows.get(digest, 0) + done
    return rows
