"""A table of finished shards: what each took, as they are finished."""

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..cache.files import writing
from ..errors import UsageError, option
from ..manifests.cells import cell
from ..untrusted import open_file
from .events import Emit, Event, ShardFinished

COLUMNS = (
    "written",
    "dataset",
    "store",
    "shard",
    "rows",
    "failed",
    "copied",
    "read_seconds",
    "infer_seconds",
    "write_seconds",
    "device",
    "batch_size",
)
"""`read_seconds` are those that the encoder waited for images."""


@contextmanager
def profile(path: Path) -> Iterator[Emit]:
    """A listener that adds a line to a CSV file per finished shard, flushed, so that it can be looked at meanwhile.

    Raises UsageError where the file is there and not such a table: nothing is added to it then.
    """
    _refuse_others(path)
    with writing(path, option("profile")), path.open("a", encoding="utf-8", newline="") as file:
        if not file.tell():
            file.write(_line(COLUMNS))

        def listen(event: Event) -> None:
            if isinstance(event, ShardFinished):
                file.write(_line(_values(event)))
                file.flush()

        yield listen


def _refuse_others(path: Path) -> None:
    wanted = _line(COLUMNS).encode()
    try:
        with open_file(path) as file:
            found = file.read(len(wanted))
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise UsageError(f"{option('profile')} {path}: cannot be read ({error}): choose another file") from error
    if found not in (b"", wanted):
        raise UsageError(f"{option('profile')} {path}: this file is something else: choose another one")


def _values(event: ShardFinished) -> tuple[object, ...]:
    receipt = event.receipt
    seconds = (f"{receipt.seconds.get(part, 0):.6f}" for part in ("read", "infer", "write"))
    rows = receipt.shard, receipt.rows, len(receipt.failed), receipt.copied
    return (
        receipt.written,
        cell(event.dataset),
        cell(event.store),
        *rows,
        *seconds,
        receipt.device,
        receipt.batch_size,
    )


def _line(values: tuple[object, ...]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()
