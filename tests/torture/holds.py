"""What a folder holds, its cache above all, so that two moments of it can be compared."""

import hashlib
import json
import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from expclip.aside import is_temporary
from expclip.cache.cache import Cache
from expclip.cache.receipts import CLAIM
from expclip.cache.rubbish import UNFINISHED
from expclip.cache.store import FeatureStore, checksum
from expclip.cache.verify import check_cache, check_memories
from expclip.errors import ExpclipError
from expclip.heads.checking import check_heads
from expclip.heads.kept import heads_in

_DATES = ("seconds", "written", "read", "fitted", "content_digest")
"""What two runs note differently in JSON files."""
_DATE_IN_PDF = re.compile(rb"/CreationDate \(.*?\)")
HEAD = "head.json"


@dataclass(frozen=True)
class State:
    """What lay in a folder at a moment."""

    files: dict[str, str]
    """Digests of contents, without dates, by relative path; "" of a folder."""
    identities: dict[str, tuple[int, int]]
    """What tells a receipt or a head's card from one that replaces it."""
    done: Counter
    """Sound rows by store."""
    damage: frozenset[str]

    @cached_property
    def visible(self) -> dict[str, str]:
        return {path: what for path, what in self.files.items() if not _is_aside(path)}

    @cached_property
    def left_behind(self) -> list[str]:
        return [path for path in self.files if _is_aside(path)]

    def below(self, place: str) -> dict[str, str]:
        """What is visible of a file or folder."""
        return {path: what for path, what in self.visible.items() if path == place or path.startswith(f"{place}/")}


def _is_aside(path: str) -> bool:
    """Whether something is there only while a command runs."""
    names = [name for part in path.split("/") for name in (part, part.rpartition(".")[0])]
    return path.endswith((CLAIM, UNFINISHED)) or any(map(is_temporary, names))


def look(root: Path) -> State:
    """At a folder whose cache, if it has one, is `cache`."""
    paths = sorted(root.rglob("*"))
    files = {path.relative_to(root).as_posix(): "" if path.is_dir() else _digest(path) for path in paths}
    cache, done = Cache(root / "cache"), Counter()
    kept = [path / HEAD for path, _ in heads_in(cache.heads)[0]]
    for store in cache.stores():
        sound = [one for shard, one in store.finished().items() if _is_sound(store, shard, one)]
        done[f"{store.path.parent.name}/{store.path.name}"] = sum(one.rows for one in sound)
        kept += [store.receipts.path(one.shard) for one in sound]
    found = [*check_cache(cache, cache.datasets(), lambda rows: None), *check_memories(cache)]
    found += check_heads(cache.heads)
    damage = frozenset(f"{one.place.relative_to(root)}: {one.problem}" for one in found if one.is_damage)
    statuses = {path.relative_to(root).as_posix(): path.stat() for path in kept}
    return State(files, {path: (one.st_ino, one.st_mtime_ns) for path, one in statuses.items()}, done, damage)


def _is_sound(store: FeatureStore, shard: int, receipt: Any) -> bool:
    try:
        return checksum(store.read(store.header.shard_rows(shard))[: receipt.rows]) == receipt.sha256
    except ExpclipError:
        return False


def _digest(path: Path) -> str:
    content = path.read_bytes()
    if path.suffix == ".json":
        with suppress(ValueError):
            content = json.dumps(_dateless(json.loads(content))).encode()
    elif path.suffix == ".pdf":
        content = _DATE_IN_PDF.sub(b"", content)
    return hashlib.sha256(content).hexdigest()


def _dateless(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _dateless(value) for key, value in content.items() if key not in _DATES}
    return [_dateless(value) for value in content] if isinstance(content, list) else content
