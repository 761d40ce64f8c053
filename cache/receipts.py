"""Receipts: one small JSON file per finished shard. The set of receipts is the state of an extraction."""

import re
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from ..untrusted import parse_json, read_text
from .files import fsync, is_sealed, seal, unseal, write_json
from .header import Header

CLAIM = ".claim"
_Identity = tuple[int, int, int]
"""What tells a file from one that takes its place."""
_Count = Annotated[int, Field(ge=0)]
_Seconds = Annotated[float, Field(ge=0)]


@dataclass(frozen=True)
class FailedRow:
    """A row that could not be encoded; its features are NaN."""

    row: _Count
    source: str
    error: str
    max_pixels: _Count | None = None
    """The limit on pixels that it exceeds, if that is why: under a larger one it is tried again."""


@dataclass(frozen=True)
class Receipt:
    """What is known of one finished shard."""

    key: str
    shard: _Count
    rows: _Count
    """How many rows are done, counted from the first of the shard; fewer than its size after `--limit`."""
    sha256: str
    """Over the bytes of those rows as stored."""
    failed: tuple[FailedRow, ...] = ()
    cut: tuple[_Count, ...] = ()
    """Rows of texts that are longer than the encoder reads, so that their ends were cut off."""
    first_frames: tuple[_Count, ...] = ()
    """Rows of files that hold more pictures than the first one, which was read."""
    copied: _Count = 0
    """How many of the rows come from other stores, where they were encoded."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Seconds spent reading, inferring and writing."""
    load_seconds: _Seconds = 0.0
    """Loading its encoder took so long; 0 where it was loaded for an earlier shard."""
    device: str = ""
    batch_size: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    written: str = ""
    """UTC, ISO 8601."""
    crc32c: int | None = None
    """Of the whole shard as its file carries it, rows that are missing as NaN; older receipts have none."""


class Receipts:
    """The receipts of one store, in a folder beside it."""

    def __init__(self, folder: Path, header: Header):
        self._folder = folder
        self._header = header
        self._known: dict[int, tuple[_Identity, Receipt]] = {}
        """What was read of files that did not change since."""

    def path(self, shard: int) -> Path:
        return self._folder / f"{shard:05d}.json"

    def claim(self, shard: int) -> Path:
        """The file that says who makes a shard at the moment."""
        return self._folder / f"{shard:05d}{CLAIM}"

    def get(self, shard: int) -> Receipt | None:
        """The receipt of a shard; None where it is missing, unreadable, contradicts itself or is of another store."""
        path = self.path(shard)
        try:
            identity = _identity(path)
            known = self._known.get(shard)
            if known is None or known[0] != identity:
                known = self._known[shard] = identity, parse_receipt(read_text(path))
        except (OSError, ValueError):
            return None
        receipt = known[1]
        return receipt if receipt.shard == shard and fits(receipt, self._header) else None

    def files(self) -> list[Path]:
        """The files that are named like receipts, in the order of their shards."""
        found = (path for path in self._folder.glob("*.json") if re.fullmatch("[0-9]{5}|[1-9][0-9]{5,11}", path.stem))
        return sorted(found, key=lambda path: int(path.stem))

    def read(self) -> dict[int, Receipt]:
        """All receipts by shard, in order."""
        found = ((int(path.stem), self.get(int(path.stem))) for path in self.files())
        return {shard: receipt for shard, receipt in found if receipt is not None}

    def write(self, receipt: Receipt) -> None:
        write_json(self.path(receipt.shard), seal(asdict(receipt)))

    def withdraw(self, shard: int) -> None:
        """Remove a receipt, before its shard is written again: a crash in between loses the shard, but never lies."""
        path = self.path(shard)
        if path.exists():
            path.unlink(missing_ok=True)
            fsync(self._folder)

    def present(self) -> dict[Path, _Identity]:
        """The files that are there, and what tells each from one that replaces it."""
        return {path: _identity(path) for path in self._folder.glob("*.json")}

    def remove(self, known: dict[Path, _Identity]) -> None:
        """Remove files that were there, but not what has taken their place since."""
        for path, identity in known.items():
            with suppress(FileNotFoundError):
                if _identity(path) == identity:
                    path.unlink()


def _identity(path: Path) -> _Identity:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


def parse_receipt(text: bytes | str) -> Receipt:
    """A receipt from its JSON. Raises ValueError where it is not one, or changed since it was written."""
    content = parse_json(text)
    if isinstance(content, dict) and is_sealed(content):
        unseal(content)
    try:
        return _adapter().validate_json(text, strict=True)
    except ValidationError as error:
        raise ValueError(f"not a receipt: {error.errors()[0]['msg']}") from error


def fits(receipt: Receipt, header: Header) -> bool:
    """Whether a receipt can be one of the store with this header."""
    rows = header.shard_rows(receipt.shard)
    done = range(rows.start, rows.start + receipt.rows)
    return (
        receipt.key == header.key
        and 0 < receipt.rows <= len(rows)
        and all(
            row in done for row in (*(failed.row for failed in receipt.failed), *receipt.cut, *receipt.first_frames)
        )
    )


@cache
def _adapter() -> TypeAdapter[Receipt]:
    return TypeAdapter(Receipt)
