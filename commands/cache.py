"""`expclip cache`: what it holds, and handing stores over."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.filesize import decimal as byte_count

from ..manifests.remarks import count_of
from ..reports.console import print_line
from ..settings import cache_folder, read_settings
from . import options
from .command import Command, as_document, note_untrained, print_records, untrained
from .request import Request, ask

if TYPE_CHECKING:
    from ..cache.store import FeatureStore


class ListCache(Request, verb="cache list"):
    """The feature stores of the cache, and how far they are."""

    cache: Path | None = options.CACHE


@dataclass(frozen=True)
class StoreLine:
    """One store, for a list."""

    path: Path
    dataset: str
    node: str = ""
    model: str = ""
    instruction: str = ""
    protocol: str = ""
    untrained: bool = False
    rows: int = 0
    done: int = 0
    failed: int = 0
    bytes: int = 0
    problem: str = ""
    """Why it cannot be read; all else but its path, data set and size is unknown then."""


_COLUMNS = {
    "store": "path.stem",
    "data set": "dataset",
    "instruction": "instruction",
    "rows": lambda line: f"{line.done:,} / {line.rows:,}" + (f" ({line.failed} failed)" if line.failed else ""),
    "size": lambda line: byte_count(line.bytes),
    "remark": lambda line: line.problem or untrained(line.untrained),
}


def show_stores(request: ListCache, answer: list[StoreLine]) -> None:
    """A line per store, and the sum."""
    print_records(f"{cache_folder(request.cache, read_settings())}", answer, _COLUMNS)
    print_line(f"{count_of(len(answer), 'store')}, {byte_count(sum(line.bytes for line in answer))}")


LIST_CACHE = Command(ListCache, "stages.cache:list_cache", show_stores, as_document)


class ExportStore(Request, verb="cache export"):
    """Write one store to one HDF5 file."""

    store: str = ask("The store's name, or a part of it that only it has.", is_argument=True, in_file=False)
    file: Path = ask("The HDF5 file to write.", is_argument=True, in_file=False)
    cache: Path | None = options.CACHE


def show_export(request: ExportStore, answer: "FeatureStore") -> None:
    """One line."""
    size = byte_count(request.file.stat().st_size)
    print_line(f"{request.file}: {answer.path.stem}, {answer.rows_done():,} rows, {size}")
    note_untrained([answer.header.untrained])


EXPORT_STORE = Command(ExportStore, "stages.cache:export_store", show_export)


class ImportStores(Request, verb="cache import"):
    """Bring exported stores into the cache."""

    files: tuple[Path, ...] = ask(
        "HDF5 files that `expclip cache export` wrote.", metavar="FILE…", is_argument=True, in_file=False
    )
    cache: Path | None = options.CACHE


def show_imports(request: ImportStores, answer: "list[FeatureStore]") -> None:
    """A line per store."""
    for imported in answer:
        print_line(f"{imported.path}: {imported.rows_done():,} of {imported.header.rows:,} rows")


IMPORT_STORES = Command(ImportStores, "stages.cache:import_stores", show_imports)
