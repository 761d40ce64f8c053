"""What the cache knows of a data set, after looking whether its labels and files are still what they were."""

from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

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
    if others := workspace.other_copies(known):
        workspace.remark(known.label, f"this is the copy of {known.files}; the cache has others, of {others}")
    why_not = "" if is_builtin else _why_not(known, cached)
    if not why_not:
        return cached if is_builtin else _as_it_is_now(workspace, known, cached)
    date = _to_seconds(known.entry.origin.read)
    workspace.remark(known.label, f"{why_not}, so it cannot be read again: its labels are those of {date}")
    return replace(cached, origin=replace(cached.origin, read=date))


def _to_seconds(date: str) -> str:
    return datetime.fromisoformat(date).isoformat(timespec="seconds")


def _why_not(known: Known, cached: Manifest) -> str:
    """Why a data set cannot be read again; empty where it can, or where what says its labels is unchanged."""
    if known.is_gone or known.files is None or kind_of(known.files) == "missing":
        return f"{(known.ref.path if known.is_gone else known.files) or 'its folder'} is not here"
    is_folder = known.ref.path is not None and kind_of(known.ref.path) == "folder"
    if is_folder or any_here(cached, known.files) or _is_unchanged(known, cached):
        return ""
    return f"none of its files is in {known.files}"


def _is_unchanged(known: Known, cached: Manifest) -> bool:
    """Whether what says the labels is what it was."""
    return known.files is not None and stamp(known.ref, known.files) == cached.origin.stamp


def _as_it_is_now(workspace: Workspace, known: Known, cached: Manifest) -> Manifest:
    """The manifest as list or folder have it now."""
    assert known.entry is not None and known.files is not None
    how = workspace.how_to_read(known)
    is_read_so = (how.numbers, how.order) == (cached.origin.numbers, cached.origin.order)
    read = datetime.fromisoformat(known.entry.origin.read)
    is_unchanged = _is_unchanged(known, cached) and not files_changed(cached, Path(known.files), read)
    if is_unchanged and (is_read_so or not any_here(cached, known.files)):  # no file, nothing to read
        return cached
    now = workspace.read(known, policies=cached.clips if cached.kind == "clips" else DEFAULT_POLICIES)
    if not is_unchanged and (said := changes(cached, now)):
        workspace.remark(
            known.label, f"read again, since it changed after {_to_seconds(known.entry.origin.read)}: {said}"
        )
    if now.rows.digest == cached.rows.digest:
        with suppress(ExpclipError):  # a cache that may not be written to still serves
            workspace.cache.save_manifest(now)
    return now
