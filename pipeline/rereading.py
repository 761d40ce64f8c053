"""What the cache knows of a data set, after looking whether its labels and files are still what they were."""

from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from ..cache.entries import Entry
from ..errors import ExpclipError
from ..manifests.changes import changes
from ..manifests.disk import kind_of
from ..manifests.frames import DEFAULT_POLICIES
from ..manifests.manifest import Manifest
from ..manifests.stamp import any_here, files_changed, stamp
from .identity import Known
from .workspace import Workspace


def known_manifest(workspace: Workspace, dataset: str) -> Manifest | None:
    """The manifest of a data set that the cache has, or of a path that it may have under another; None else.

    Where list or folder can be reached and says other labels or files, it is read again, and what changed is said.
    Where it cannot, the manifest's origin says of which date it is. Raises UsageError where it can be reached and is
    wrong.
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
    is_builtin = known.ref.entry is not None and known.ref.entry.builtin
    root = cached.root if is_builtin or known.files is None else str(known.files)
    cached = replace(cached, origin=replace(known.entry.origin, label=known.label, read=""), root=root)
    if known.others:
        others = ", ".join(entry.root for entry in known.others)
        workspace.remark(known.label, f"this is the copy of {known.files}; the cache has others, of {others}")
    if is_builtin:
        return cached
    if known.is_gone or known.files is None or kind_of(known.files) == "missing":
        gone = (known.ref.path if known.is_gone else known.files) or "its folder"
        return _as_it_was(workspace, known.entry, cached, f"{gone} is not here")
    return _as_it_is_now(workspace, known, known.entry, known.files, cached)


def _as_it_was(workspace: Workspace, entry: Entry, cached: Manifest, why: str) -> Manifest:
    """The manifest as the cache has it, whose labels are of some date."""
    date = _to_seconds(entry.origin.read)
    workspace.remark(cached.label, f"{why}, so it cannot be read again: its labels are those of {date}")
    return replace(cached, origin=replace(cached.origin, read=date))


def _as_it_is_now(workspace: Workspace, known: Known, entry: Entry, files: Path, cached: Manifest) -> Manifest:
    """The manifest as list or folder have it now; of a list whose files are elsewhere as long as it is unchanged."""
    says_the_same = stamp(known.ref, files) == cached.origin.stamp
    if not any_here(cached, files) and (known.ref.path is None or kind_of(known.ref.path) != "folder"):
        why = f"none of its files is in {files}"
        return cached if says_the_same else _as_it_was(workspace, entry, cached, why)
    how = workspace.how_to_read(known)
    is_read_so = (how.numbers, how.order) == (cached.origin.numbers, cached.origin.order)
    is_unchanged = says_the_same and not files_changed(cached, files, datetime.fromisoformat(entry.origin.read))
    if is_unchanged and is_read_so:
        return cached
    now = workspace.read(known, policies=cached.clips if cached.kind == "clips" else DEFAULT_POLICIES)
    if not is_unchanged and (said := changes(cached, now)):
        workspace.remark(known.label, f"read again, since it changed after {_to_seconds(entry.origin.read)}: {said}")
    if now.rows.digest == cached.rows.digest:
        with suppress(ExpclipError):  # a cache that may not be written to still serves
            workspace.cache.save_manifest(now)
    return now


def _to_seconds(date: str) -> str:
    return datetime.fromisoformat(date).isoformat(timespec="seconds")
