"""`expclip datasets`: what there is, and what is wrong with a copy of it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..manifests.catalogue import DataSet
from ..reports.console import print_line
from . import options
from .command import DONE, DONE_WITH_FAILURES, Command, as_document, records
from .options import Names
from .request import Request


class ListDatasets(Request, verb="datasets list"):
    """The data sets that have a name."""


_COLUMNS = {
    "name": lambda one: one[0],
    "kind": lambda one: one[1].kind,
    "classes": lambda one: str(one[1].classes or "unlabelled"),
    "splits (published samples)": lambda one: ", ".join(
        f"{name} ({split.expected:,})" if split.expected else name for name, split in one[1].splits.items()
    ),
    "about": lambda one: one[1].about,
}


def catalogue_document(request: ListDatasets, answer: list[tuple[str, DataSet]]) -> dict[str, Any]:
    """What --json prints."""
    return {name: entry.model_dump(mode="json") for name, entry in answer}


LIST_DATASETS = Command(
    ListDatasets, "stages.datasets:list_datasets", records("Data sets", _COLUMNS), catalogue_document
)


class AuditDatasets(Request, verb="datasets audit"):
    """Read every file of a data set and report what is missing, broken, double or unlike the published counts."""

    datasets: Names = options.DATASETS
    workers: int | None = options.WORKERS.but(help="Processes that read files; 0 reads them in this one.")
    max_megapixels: int = options.MAX_MEGAPIXELS
    classes: Names = options.CLASSES
    order: str | None = options.ORDER
    root: Names = options.ROOT
    cache: Path | None = options.CACHE


@dataclass(frozen=True)
class Audit:
    """What is known of a copy of a data set. Errors make rows fail; remarks are worth a look."""

    name: str
    samples: int
    rows: int
    counts: dict[str, int]
    """Samples per class, "unlabelled" among them."""
    errors: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def show_audits(request: AuditDatasets, answer: list[Audit]) -> None:
    """Counts, errors and remarks of each data set."""
    for one in answer:
        counts = ", ".join(f"{name} {count:,}" for name, count in one.counts.items())
        print_line(f"{one.name}: {one.samples:,} samples, {one.rows:,} images ({counts})")
        lines = [f"error: {line}" for line in one.errors] + [f"remark: {line}" for line in one.remarks]
        for line in lines or ["no problems found"]:
            print_line(f"  {line}")


def audits_ending(request: AuditDatasets, answer: list[Audit]) -> int:
    """Files that cannot be used are failed rows."""
    return DONE_WITH_FAILURES if any(one.errors for one in answer) else DONE


AUDIT_DATASETS = Command(AuditDatasets, "stages.datasets:audit_datasets", show_audits, as_document, audits_ending)
