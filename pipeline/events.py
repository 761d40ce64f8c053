"""What happens during a run, as small records that any number of listeners may hear."""

from collections.abc import Callable
from dataclasses import dataclass

from ..cache.receipts import Receipt


@dataclass(frozen=True)
class RowsEncoded:
    """Some rows of one store were encoded; they are not on disk yet."""

    rows: int


@dataclass(frozen=True)
class ShardFinished:
    """A shard of one store is on disk with its receipt."""

    dataset: str
    store: str
    receipt: Receipt


Event = RowsEncoded | ShardFinished
Emit = Callable[[Event], None]


def ignore(event: Event) -> None:
    """A listener that does nothing."""
