"""What the time of an extraction went into, and what was its limit."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..reports.console import duration
from .events import ShardFinished

WORTH_SAYING = 60.0
"""Seconds that a run takes at least of which it is said."""
_MUCH = 0.25
"""The share of the time from which on waiting or writing is the limit."""
_WORDS = {"infer": "encoding", "read": "waiting for images", "write": "writing"}
_LIMITS = {
    "read": "images are read more slowly than they are encoded: more workers may help, or a faster disk",
    "write": "the disk is the limit",
}


@dataclass
class Spent:
    """Seconds by what they were spent on, and rows, of each store that shards were finished of."""

    rows: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def note(self, event: ShardFinished) -> None:
        """A shard was finished."""
        receipt = event.receipt
        self.rows[event.store] += receipt.rows - receipt.copied
        self.seconds[event.store].update(receipt.seconds)

    def lines(self) -> Iterator[tuple[str, str]]:
        """A store and a sentence about it, for each that rows were encoded of."""
        for store, rows in self.rows.items():
            of_store = self.seconds[store]
            total = sum(of_store.values())
            if not rows or not total:
                continue
            shares = {name: of_store[name] / total for name in _WORDS}
            parts = ", ".join(f"{_WORDS[name]} {100 * share:.0f} %" for name, share in shares.items())
            limit = next((said for name, said in _LIMITS.items() if shares[name] > _MUCH), "")
            yield (
                store,
                f"{rows:,} rows in {duration(total)}, {rows / total:,.1f} a second: {parts}"
                + (f"; {limit}" if limit else ""),
            )
