"""`expclip cache verify`, `repair`, `gc` and `rm`."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..cache.cache import TEXT, Cache
from ..cache.files import discard
from ..cache.own_parts import is_part, parts_of
from ..cache.rubbish import is_claimed, rubbish, size
from ..cache.verify import Finding, check_cache, check_memories
from ..commands.keeping import (
    CollectGarbage,
    Drift,
    Problem,
    Removed,
    RemoveStores,
    Repair,
    RepairCache,
    Verification,
    VerifyCache,
)
from ..errors import ExpclipError, UsageError, one_of
from ..heads.checking import check_heads
from ..heads.kept import heads_in
from ..pipeline.checks import refuse_several_gpus
from ..pipeline.workspace import Workspace
from .mending import Mender

HEADS = "heads"


def verify_cache(request: VerifyCache) -> Verification:
    """Read all of the cache, or of some data sets; `reencode` encodes some rows again."""
    refuse_several_gpus(request)
    workspace, folders, has_heads = _asked(request)
    drifts: list[Drift] = []
    findings = list(_findings(workspace, folders, has_heads, is_whole=not request.datasets))
    if request.reencode:
        from .reencoding import drifts as drifts_of  # by torch

        for folder in folders:
            for one in drifts_of(workspace, folder, request.reencode, request.seed):
                drifts.append(one) if isinstance(one, Drift) else findings.append(one)
    stores = [store for folder in folders for store in workspace.cache.stores(folder)]
    heads = len(heads_in(workspace.cache.heads)[0]) if has_heads else 0
    rows = sum(store.rows_done() for store in stores)
    return Verification(tuple(map(_problem, findings)), len(stores), rows, heads, tuple(drifts))


def repair_cache(request: RepairCache) -> Repair:
    """Withdraw what is damaged; name or run the commands that make it anew."""
    workspace, folders, has_heads = _asked(request)
    workspace.cache.sweep()

    def damaged() -> list[Finding]:
        every = _findings(workspace, folders, has_heads, is_whole=not request.datasets)
        return [one for one in every if one.is_damage]

    mender, found = Mender(workspace), damaged()
    mended = [_problem(one, mender.mend(one)) for one in found if one.kind == "description"]
    if mended:
        found = damaged()  # shards may be whole that could not be read without their description
    mended += [_problem(one, mender.mend(one)) for one in found]
    if request.run:
        mender.run(request)
    return Repair(tuple(mended), tuple(mender.commands), request.run, tuple(mender.unmade))


def _asked(request: VerifyCache | RepairCache) -> tuple[Workspace, list[str], bool]:
    """The workspace, the folders of the data sets that are asked for, and whether heads are."""
    named = [text for text in request.datasets if text not in (TEXT, HEADS)]
    workspace = Workspace.of(request, named)
    if not workspace.cache.root.is_dir():
        raise UsageError(f"{workspace.cache.root}: there is no cache here")
    there = workspace.cache.datasets()
    if not request.datasets:
        return workspace, there, True
    folders = [workspace.dataset(text).folder for text in named]
    for text, folder in zip(named, folders, strict=True):
        if folder not in there:
            raise UsageError(f"{workspace.cache.root} has nothing of {text}: there is {one_of(there or ['nothing'])}")
    return workspace, [*folders, *([TEXT] if TEXT in request.datasets else [])], HEADS in request.datasets


def _findings(workspace: Workspace, folders: Sequence[str], has_heads: bool, is_whole: bool) -> Iterator[Finding]:
    cache = workspace.cache
    total, done = sum(store.rows_done() for folder in folders for store in cache.stores(folder)), 0
    with workspace.progress("reading", "rows") as show:

        def count(rows: int) -> None:
            nonlocal done
            done += rows
            show(done, total)

        yield from check_cache(cache, folders, count)
    if is_whole:
        yield from check_memories(cache)
    if has_heads:
        yield from check_heads(cache.heads)


def _problem(finding: Finding, done: str = "") -> Problem:
    return Problem(finding.place, finding.problem, finding.rows, finding.is_damage, done)


def collect_garbage(request: CollectGarbage) -> list[Removed]:
    """What nobody needs, and is removed on request."""
    cache = Workspace.of(request).cache
    kept, _ = heads_in(cache.heads)
    used = {key for _, card in kept for key in map(card.spec.get, ("clip_image", "llm")) if isinstance(key, str)}
    found = list(rubbish(cache, used))
    if request.delete:
        discard(*(one.place for one in found))
    return [Removed(one.place, one.why, one.bytes, request.delete) for one in found]


def remove_stores(request: RemoveStores) -> list[Removed]:
    """Remove stores by name, or all that the cache has of data sets. Raises UsageError before anything is removed."""
    cache = Workspace.of(request).cache
    cache.sweep()
    places = list(dict.fromkeys(place for what in request.what for place in _meant(cache, what)))
    for place in places:
        if any(map(is_claimed, [place, *place.glob("*.zarr")])):
            raise ExpclipError(f"{place}: a process makes something of it: wait until it has ended")
    removed = [
        Removed(place, "asked for", size(place), is_removed=True) for place in places if os.path.lexists(place)
    ]
    discard(*reversed(places))  # receipts before their store, of which they are found
    return removed


def _meant(cache: Cache, what: str) -> list[Path]:
    """What is ours of a data set, or a store and its receipts."""
    folders = {entry.title: entry.folder for entry in cache.entries()} | {name: name for name in cache.datasets()}
    place = Path(what).parent.resolve() / Path(what).name if Path(what).parent != Path() else None
    folder = folders.get(what) or (place and place.parent == cache.root.resolve() and folders.get(place.name))
    if folder:
        return parts_of(cache.root / folder)
    every = [path for path, _ in cache.opened() if is_part(path.name)]
    if place:
        found = [path for path in every if path.parent.resolve() / path.name == place]
    else:
        found = [path for path in every if path.name == what] or [path for path in every if what in path.name]
    if len(found) != 1 or not what:
        names = ", ".join(path.name for path in found) or f"there is {one_of(folders or ['nothing'])}"
        raise UsageError(f"{'several stores match' if found else 'no store or data set is called'} {what!r}: {names}")
    return [found[0], found[0].with_suffix(".receipts")]
