"""Receipts: one small JSON file per finished shard. The set of receipts is the state of an extraction."""

import re
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from ..untrusted import read_text
from .files import fsync, write_json
from .header import Header

_Count = Annotated[int, Field(ge=0)]


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
    device: str = ""
    batch_size: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    written: str = ""
    """UTC, ISO 8601."""


class Receipts:
    """The receipts of one store, in a folder beside it."""

    def __init__(self, folder: Path, header: Header):
        self._folder = folder
        self._header = header

    def path(self, shard: int) -> Path:
        return self._folder / f"{shard:05d}.json"

    def get(self, shard: int) -> Receipt | None:
        """The receipt of a shard; None where it is missing, unreadable, contradicts itself or is of another store."""
        try:
            receipt = parse_receipt(read_text(self.path(shard)))
        except (OSError, ValueError):
            return None
        return receipt if receipt.shard == shard and fits(receipt, self._header) else None

    def read(self) -> dict[int, Receipt]:
        """All receipts by shard, in order."""
        shards = {int(path.stem) for path in self._folder.glob("*.json") if re.fullmatch("[0-9]{1,12}", path.stem)}
        found = ((shard, self.get(shard)) for shard in sorted(shards))
        return {shard: receipt for shard, receipt in found if receipt is not None}

    def write(self, receipt: Receipt) -> None:
        write_json(self.path(receipt.shard), asdict(receipt))

    def withdraw(self, shard: int) -> None:
        """Remove a receipt, before its shard is written again: a crash in between loses the shard, but never lies."""
        path = self.path(shard)
        if path.exists():
            path.unlink(missing_ok=True)
            fsync(self._folder)

    def withdraw_all(self) -> None:
        """The receipts of a store that was removed say nothing about the one that replaces it."""
        for path in self._folder.glob("*.json"):
            path.unlink(missing_ok=True)


def parse_receipt(text: bytes | str) -> Receipt:
    """A receipt from its JSON. Raises ValueError where it is not one."""
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
