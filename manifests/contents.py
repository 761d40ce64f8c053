"""Content digests in place of sizes, for those who replace files in place."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from .manifest import NOT_ON_DISK, Manifest

_DIGITS = 15
"""Hexadecimal digits of a digest that fit where sizes are kept."""


def with_contents(manifest: Manifest, show: Callable[[int, int], None]) -> Manifest:
    """The same manifest, whose rows tell files by what is in them: 60 bits of SHA-256 stand in place of each size.

    Every file is read once; `show(done, total)` is called after each. A file that cannot be read keeps its size.
    """
    rows, root = manifest.rows, Path(manifest.root)
    sizes = dict(zip(rows.sources, rows.sizes.tolist(), strict=True))
    there = [source for source, size in sizes.items() if size != NOT_ON_DISK]
    with ThreadPoolExecutor() as pool:
        for done, (source, content) in enumerate(
            pool.map(lambda source: (source, _content(root / source)), there), 1
        ):
            sizes[source] = sizes[source] if content is None else content
            show(done, len(there))
    contents = np.array([sizes[source] for source in rows.sources], dtype=np.int64)
    return replace(manifest, rows=replace(rows, sizes=contents))


def _content(path: Path) -> int | None:
    try:
        with path.open("rb") as file:
            return int(hashlib.file_digest(file, "sha256").hexdigest()[:_DIGITS], 16)
    except OSError:
        return None
