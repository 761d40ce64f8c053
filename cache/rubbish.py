"""What nobody needs: what killed processes left behind, and features of which nothing is known any more."""

import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..aside import has_not_changed_for_a_day, is_left_behind, is_temporary
from ..errors import ExpclipError
from .cache import TEXT, Cache
from .claims import claimant, is_abandoned
from .manifest_store import rows_digest_of
from .own_parts import is_part
from .receipts import CLAIM

_OLD_TEMPORARY = re.compile(
    r"\.(?P<final>.+)\.(?:[0-9a-f]{8}|part|partial-[0-9a-f]{32})|\.?[^/]*\.partial", re.DOTALL
)
"""What earlier versions, and zarr, called what they wrote aside: others call their files so, too."""
UNFINISHED = ".unfinished"
"""What the files end with that fits keep on their way."""
_BESIDE_DATASETS = re.compile(r"weights\.json|\.frames\.json|\.expclip-output|[0-9a-f]{12}|.+-v[0-9]+")
"""What else they wrote aside: what is remembered, the mark, heads, and built-in faces."""


@dataclass(frozen=True)
class Rubbish:
    """A file or folder that nobody needs."""

    place: Path
    why: str
    bytes: int


def rubbish(cache: Cache, used: Collection[str]) -> Iterator[Rubbish]:
    """What may be removed of a cache, but for what a living process claims; `used` are the keys of heads' stores.

    Stores whose rows no manifest here has are rubbish: nobody can say what their features are of.
    """
    if not cache.root.is_dir():
        return
    yield from _left_in(cache.root)
    for folder in filter(_is_own_folder, _listed(cache.root)):
        yield from _left_in(folder)
        for part in _listed(folder):
            if is_part(part.name) and _is_own_folder(part):
                yield from _left_within(part)
    for name in cache.datasets():
        if _is_own_folder(cache.root / name):
            yield from _orphans(cache.root / name)
            yield from _unknown(cache, name, used)


def _is_own_folder(path: Path) -> bool:
    """Whether this is a folder and no link: what a link leads to may be another cache's."""
    return path.is_dir() and not path.is_symlink()


def _listed(folder: Path) -> list[Path]:
    """What is in a folder; nothing where that may not be seen."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _left_in(folder: Path) -> Iterator[Rubbish]:
    """What was left in a folder where others may have files of their own."""
    for path in _listed(folder):
        old = _OLD_TEMPORARY.fullmatch(path.name)
        final = (old and old["final"]) or ""
        if is_temporary(path.name):
            yield from _left(path)
        elif path.suffix == UNFINISHED and has_not_changed_for_a_day(path):
            yield _rubbish(path, "a fit was broken off, and nobody went on with it for a day")
        elif is_part(final) or _BESIDE_DATASETS.fullmatch(final):
            yield _rubbish(path, "an earlier version left it behind")


def _left_within(part: Path) -> Iterator[Rubbish]:
    """What was left in a store, its receipts or a manifest, where nobody else has files."""
    for path in _listed(part):
        if is_temporary(path.name) or path.suffix == CLAIM:
            yield from _left(path)
        elif _OLD_TEMPORARY.fullmatch(path.name):
            yield _rubbish(path, "an earlier version left it behind")
        elif _is_own_folder(path):
            yield from _left_within(path)


def _left(path: Path) -> Iterator[Rubbish]:
    """A temporary or a claim, if it is nobody's any more."""
    if path.suffix != CLAIM:
        if is_left_behind(path):
            yield _rubbish(path, "a killed process left it behind")
    elif (owner := claimant(path)) is not None and is_abandoned(path):
        yield _rubbish(path, f"{owner} has ended")


def _orphans(folder: Path) -> Iterator[Rubbish]:
    for path in sorted(folder.glob("*.receipts")):
        if not os.path.lexists(path.with_suffix(".zarr")):  # a link may lead to a disk that is not here now
            yield _rubbish(path, "its store is gone")


def _unknown(cache: Cache, folder: str, used: Collection[str]) -> Iterator[Rubbish]:
    stores = list(cache.opened(folder))  # before the manifests: who makes a store writes its manifest first
    known = {rows_digest_of(path) for path in (cache.root / folder).glob("manifest-*.zarr")}
    entry = cache.entry(folder)
    if "" in known or (entry and not (cache.root / folder / entry.manifest).exists()):
        return  # that is damage, and no reason to lose features
    for path, store in stores:
        if isinstance(store, ExpclipError) or store.header.rows_digest in known or store.header.key in used:
            continue
        if is_part(path.name) and not is_claimed(path):
            what = "texts" if folder == TEXT else "rows"
            yield _rubbish(path, f"no manifest here has its {what}, and no head was fitted to it")


def is_claimed(store: Path) -> bool:
    """Whether a process that lives, or whose machine is another one, makes something of a store."""
    files = store.with_suffix(".receipts").glob(f"*{CLAIM}")
    return any(claimant(file) is not None and not is_abandoned(file) for file in files)


def _rubbish(path: Path, why: str) -> Rubbish:
    return Rubbish(path, why, size(path))


def size(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    files = path.rglob("*") if path.is_dir() and not path.is_symlink() else [path]
    return sum(file.lstat().st_size for file in files if not file.is_dir())
