"""`expclip extract`: fill the cache with the features that are missing."""

import re
from dataclasses import dataclass
from pathlib import Path

from rich.filesize import decimal as byte_count

from ..encoders.dtypes import ALL_GPUS, is_several
from ..encoders.node import NODES
from ..errors import UsageError, option
from ..reports.console import duration
from . import options
from .command import Command, as_document, list_failed, note_untrained, print_records, untrained
from .options import Names
from .request import Request, ask

FEATURES = tuple(name for name, node in NODES.items() if node.of == "images")


class Extract(Request, verb="extract"):
    """Run frozen models once over images and clips, and keep their embeddings.

    Only what is missing is computed: after an interruption, run the same command to resume. Every combination of
    repeated options is extracted. Example:

    `expclip extract raf-db --root raf-db=/data/RAF-DB --clip ViT-L-14`
    """

    datasets: Names = options.DATASETS
    features: Names = ask(
        "clip_image, query_tokens, llm; repeat for several. `auto` is all three for train sets without labels, "
        "clip_image for test sets, and for labelled train sets and paths clip_image, or all three where a teacher or "
        "an instruction is named.",
        (),
        choices=FEATURES,
        unset="auto",
    )
    clip: Names = options.CLIP
    teacher: str | None = options.TEACHER.but(default=None, unset="auto", in_defaults=False)
    instruction: Names = options.INSTRUCTION.but(default=(), unset="auto")
    protocol: str | None = options.PROTOCOL
    frames: str | None = options.FRAMES.but(
        help="Frames of a clip that are extracted; `auto` is those of released and edge.", default=None, unset="auto"
    )
    order: str | None = options.ORDER
    classes: Names = options.CLASSES.but(
        help="What the numbers 0, 1, … of folders and lists mean: names in their order, or `common`."
    )
    limit: int | None = ask("Only the first N rows of each data set.", None, unset="none", least=1, in_file=False)
    part: str = ask("Only every N-th shard, from the I-th.", "1/1", metavar="I/N", in_file=False)
    retry_failed: bool = ask("Try rows again that could not be encoded.", False, in_file=False)
    hash: bool = ask(
        "Tell files by their contents, not by their sizes: for files that are replaced in place. Reads every file.",
        False,
    )
    plan: bool = ask("Show what is cached and missing; load no model.", False, in_file=False)
    profile: Path | None = ask(
        "Add a line per finished shard to this CSV file: seconds waiting for images, encoding and writing.",
        None,
        metavar="FILE",
        unset="none",
        in_file=False,
    )
    batch_size: int | None = options.BATCH_SIZE
    device: str | None = options.DEVICE
    dtype: str | None = options.DTYPE
    workers: int | None = options.WORKERS
    max_megapixels: int = options.MAX_MEGAPIXELS
    executor: str | None = options.EXECUTOR
    scheduler: str | None = options.SCHEDULER
    root: Names = options.ROOT
    cache: Path | None = options.CACHE
    usual_teacher: str = options.TEACHER.but(
        help="The teacher where one is needed and none is named.", key="teacher", is_typed=False
    )

    def check(self) -> None:
        if self.retry_failed and self.limit is not None:
            raise UsageError(f"{option('retry_failed')} and {option('limit')}: choose one of them")
        check_executor(self.executor, self.scheduler, self.workers, self.device)
        self.shards()

    def shards(self) -> tuple[int, int]:
        """(i, n): every n-th shard, beginning with the i-th."""
        index, _, of = self.part.partition("/")
        if not re.fullmatch("[0-9]{1,9}/[0-9]{1,9}", self.part) or not 1 <= int(index) <= int(of):
            raise UsageError(f"{option('part')} {self.part!r}: write I/N with 1 ≤ I ≤ N, for example 1/4")
        return int(index), int(of)


def check_executor(executor: str | None, scheduler: str | None, workers: int | None, device: str | None) -> None:
    """Raise UsageError for what an executor does not have: a scheduler, several GPUs, no workers."""
    are_several = is_several(device)
    if workers == 0 and not are_several and (scheduler or executor == "dask"):
        raise UsageError(f"{option('workers')} 0: {option('executor')} dask has one or more")
    if scheduler and executor == "local":
        raise UsageError(f"{option('scheduler')} {scheduler}: only {option('executor')} dask has one")
    if are_several and executor == "local":
        raise UsageError(
            f"{option('device')} {device}: only {option('executor')} dask uses several GPUs: choose it, or one GPU"
        )
    if are_several and scheduler and device != ALL_GPUS:
        raise UsageError(
            f"{option('device')} {device}: with {option('scheduler')} each worker has its own GPU: give {ALL_GPUS}"
        )


@dataclass(frozen=True)
class FailedImage:
    """A row that could not be encoded."""

    dataset: str
    row: int
    source: str
    error: str


@dataclass(frozen=True)
class StoreState:
    """How far one store is."""

    dataset: str
    node: str
    model: str
    instruction: str
    protocol: str
    untrained: bool
    precision: str
    """The encoder's dtypes: `float32`, or of a teacher `vision float32` and `t5 bfloat16`."""
    rows: int
    encoder_digest: str
    key: str
    cached: int
    """Rows that were there before, in this store or in others from which they are copied."""
    missing: int
    """Rows that this run encodes."""
    bytes: int
    """Of those rows."""
    seconds: float | None
    """Estimated time for them; None where nothing is known of the encoder's speed."""
    path: Path

    @property
    def label(self) -> str:
        """What, by which model, under which instruction."""
        parts = self.node, self.model, self.instruction, untrained(self.untrained)
        return " · ".join(filter(None, parts))


@dataclass(frozen=True)
class Extraction:
    """What `extract` did, or would do."""

    stores: tuple[StoreState, ...]
    encoded: int
    """Rows encoded by this run, summed over stores."""
    failed: tuple[FailedImage, ...]
    """The rows that could not be encoded, in this run or an earlier one."""


_COLUMNS = {
    "data set": "dataset",
    "features": "label",
    "cached": lambda store: f"{store.cached:,}",
    "encoded": lambda store: f"{store.missing:,}",
    "size": lambda store: byte_count(store.bytes) if store.missing else "",
}
_PLANNED = {("missing" if name == "encoded" else name): cell for name, cell in _COLUMNS.items()}
_PLANNED |= {
    "precision": "precision",
    "estimated time": lambda store: duration(store.seconds) if store.missing else "",
}


def show(request: Extract, answer: Extraction) -> None:
    """A line per store: what was cached, and what is missing or was encoded."""
    print_records("Plan" if request.plan else "Rows", answer.stores, _PLANNED if request.plan else _COLUMNS)
    note_untrained(store.untrained for store in answer.stores)


def ending(request: Extract, answer: Extraction) -> int:
    """List the rows that could not be encoded."""
    lines = [f"{row.dataset}: {row.source}: {row.error}" for row in answer.failed]
    count = f"{len(lines):,} rows could not be encoded"
    return list_failed(lines, f"{count}; they are NaN in the features and left out of what follows")


EXTRACT = Command(Extract, "stages.extract:extract", show, as_document, ending)
