"""Receipts: one small JSON file a finished shard. The set of receipts is the state of an extraction."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .files import read_json, write_json


@dataclass(frozen=True)
class FailedRow:
    """A row that could not be encoded; its features are NaN."""

    row: int
    source: str
    error: str


@dataclass(frozen=True)
class Receipt:
    """What is known of one finished shard."""

    key: str
    shard: int
    rows: int
    """How many rows are done, counted from the first of the shard; fewer than its size after `--limit`."""
    sha256: str
    """Over the bytes of those rows as stored."""
    failed: tuple[FailedRow, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    """Seconds spent reading, inferring and writing."""
    device: str = ""
    batch_size: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    written: str = ""
    """UTC, ISO 8601."""


class Receipts:
    """The receipts of one store, in a folder beside it."""

    def __init__(self, folder: Path, key: str):
        self._folder = folder
        self._key = key

    def path(self, shard: int) -> Path:
        return self._folder / f"{shard:05d}.json"

    def read(self) -> dict[int, Receipt]:
        """All receipts by shard. One that is unreadable or of another store counts as none."""
        if not self._folder.is_dir():
            return {}
        found = (_parse(read_json(path)) for path in self._folder.glob("[0-9]*.json"))
        return {receipt.shard: receipt for receipt in found if receipt is not None and receipt.key == self._key}

    def write(self, receipt: Receipt) -> None:
        write_json(self.path(receipt.shard), asdict(receipt))

    def withdraw(self, shard: int) -> None:
        """Before a shard is written anew its receipt goes: a crash in between costs the shard, not its truth."""
        self.path(shard).unlink(missing_ok=True)


def _parse(content: Any) -> Receipt | None:
    try:
        failed = tuple(FailedRow(**row) for row in content["failed"])
        receipt = Receipt(**{**content, "failed": failed})
        whole = all(isinstance(n, int) and n >= 0 for n in (receipt.shard, receipt.rows))
    except (TypeError, KeyError):
        return None
    return receipt if whole else None
