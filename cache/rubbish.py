"""What nobody needs: what killed processes left behind, and features of which nothing is known any more."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..aside import is_left_behind, is_temporary
from ..errors import ExpclipError
from .cache import TEXT, Cache
from .claims import claimant
from .manifest_store import rows_digest_of
from .receipts import CLAIM

_OLD_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}|\..+\.part|\..+\.partial-[0-9a-f]{32}|\.?[^/]*\.partial")
"""What earlier versions, and zarr, called what they wrote aside."""


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
    yield from _left_behind(cache.root)
    for folder in cache.datasets():
        yield from _orphans(cache.root / folder)
        yield from _unknown(cache, folder, used)


def _left_behind(folder: Path) -> Iterator[Rubbish]:
    for path in sorted(folder.iterdir()):
        name = path.name
        if is_temporary(name):
            if is_left_behind(path):
                yield _rubbish(path, "a killed process left it behind")
        elif _OLD_TEMPORARY.fullmatch(name):
            yield _rubbish(path, "an earlier version left it behind")
        elif path.suffix == CLAIM:
            owner = claimant(path)
            if owner is not None and owner.process.is_dead:
                yield _rubbish(path, f"{owner} has ended")
        elif path.is_dir() and not path.is_symlink():
            yield from _left_behind(path)


def _orphans(folder: Path) -> Iterator[Rubbish]:
    for path in sorted(folder.glob("*.receipts")):
        if not path.with_suffix(".zarr").exists():
            yield _rubbish(path, "its store is gone")


def _unknown(cache: Cache, folder: str, used: Collection[str]) -> Iterator[Rubbish]:
    known = {rows_digest_of(path) for path in (cache.root / folder).glob("manifest-*.zarr")}
    for path, store in cache.opened(folder):
        if isinstance(store, ExpclipError) or store.header.rows_digest in known or store.header.key in used:
            continue
        if not is_claimed(path):
            what = "texts" if folder == TEXT else "rows"
            yield _rubbish(path, f"no manifest here has its {what}, and no head was fitted to it")


def is_claimed(store: Path) -> bool:
    """Whether a process that lives, or whose machine is another one, makes something of a store."""
    owners = (claimant(file) for file in store.with_suffix(".receipts").glob(f"*{CLAIM}"))
    return any(owner is not None and not owner.process.is_dead for owner in owners)


def _rubbish(path: Path, why: str) -> Rubbish:
    return Rubbish(path, why, size(path))


def size(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    files = path.rglob("*") if path.is_dir() and not path.is_symlink() else [path]
    return sum(file.lstat().st_size for file in files if not file.is_dir())
