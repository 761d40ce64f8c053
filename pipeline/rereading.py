"""What the cache knows of a data set, after looking whether its labels are still what they were."""

from contextlib import suppress
from dataclasses import replace

from ..errors import ExpclipError, UsageError
from ..manifests.changes import changes
from ..manifests.disk import kind_of
from ..manifests.manifest import Manifest
from ..manifests.stamp import stamp
from .identity import Known
from .workspace import Workspace


def known_manifest(workspace: Workspace, dataset: str) -> Manifest | None:
    """The manifest of a data set that the cache has, or of a path that it may have under another; None else.

    Where list or folder can be reached and says other labels or files, it is read again, and what changed is said.
    Where it cannot, the manifest's origin says of which date it is.
    """
    if dataset not in workspace.manifests:
        found = workspace.manifests[dataset] = _known(workspace, dataset)
        if found is not None:
            workspace.remark(found.label, *found.remarks)
    return workspace.manifests[dataset]


def _known(workspace: Workspace, dataset: str) -> Manifest | None:
    known = workspace.dataset(dataset)
    cached = workspace.cache.current_manifest(known.folder) if known.entry else None
    if known.entry is None or cached is None:
        return None if known.ref.path is None or known.is_gone else workspace.read(known)
    origin = replace(known.entry.origin, root=known.origin.root, path=known.origin.path, label=known.label, read="")
    is_elsewhere = known.ref.entry is not None and known.files is not None and not known.ref.entry.builtin
    cached = replace(cached, origin=origin, root=str(known.files) if is_elsewhere else cached.root)
    if known.ref.entry is not None and known.ref.entry.builtin:
        return cached
    try:
        return _as_it_is_now(workspace, known, cached)
    except UsageError as error:
        date = known.entry.origin.read
        workspace.remark(known.label, f"it cannot be read again ({error}); its labels are those of {date}")
        return replace(cached, origin=replace(origin, read=date))


def _as_it_is_now(workspace: Workspace, known: Known, cached: Manifest) -> Manifest:
    """The manifest as list or folder have it now. Raises UsageError where these cannot be reached."""
    if known.is_gone or known.files is None or kind_of(known.files) == "missing":
        raise UsageError(f"{known.ref.path or known.files or 'its folder'} is not here")
    how, before = workspace.how_to_read(known), cached.origin
    is_read_so = (how.numbers, how.order) == (before.numbers, before.order)
    if is_read_so and stamp(known.ref, known.files) == before.stamp:
        return cached
    now = workspace.read(known, policies=cached.clips)
    assert known.entry is not None
    if said := changes(cached, now):
        workspace.remark(known.label, f"read again, since it changed after {known.entry.origin.read}: {said}")
    if now.rows.digest == cached.rows.digest:
        with suppress(ExpclipError):  # a cache that may not be written to still serves
            workspace.cache.save_manifest(now)
    return now
