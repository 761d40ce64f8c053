"""Extractions of one data set for several frame policies lie side by side: each has rows of its own."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ..manifests.manifest import Manifest
from .workspace import Workspace


def readings(workspace: Workspace, latest: Manifest) -> Iterator[Manifest]:
    """A data set as it was read last, and with the rows and policies of each other reading that the cache keeps.

    Labels, folds and classes are those of the latest. A reading is taken where it has the same samples, of the same
    files as far as they have a policy in common.
    """
    yield latest
    if latest.kind != "clips":
        return
    known = workspace.readings
    if latest.folder not in known:
        known[latest.folder] = list(workspace.cache.readings(latest.folder))
    for other in known[latest.folder]:
        if other.rows.digest != latest.rows.digest and _is_same(other, latest):
            yield replace(latest, rows=other.rows, clips=other.clips)


def _is_same(one: Manifest, other: Manifest) -> bool:
    both = [policy for policy in one.clips if policy in other.clips]
    return one.sample_ids == other.sample_ids and bool(both) and all(_alike(one, other, policy) for policy in both)


def _alike(one: Manifest, other: Manifest, policy: str) -> bool:
    """Whether two readings have the same files of the same sizes for the clips under a policy."""
    ours, theirs = one.clips[policy], other.clips[policy]
    if not np.array_equal(ours.offsets, theirs.offsets):
        return False
    rows, others = ours.indices, theirs.indices
    same = (one.rows.sizes[rows] == other.rows.sizes[others]) & (one.rows.frames[rows] == other.rows.frames[others])
    names = zip(rows.tolist(), others.tolist(), strict=True)
    return bool(same.all()) and all(one.rows.sources[a] == other.rows.sources[b] for a, b in names)
