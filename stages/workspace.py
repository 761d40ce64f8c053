"""Where a command works: its cache, its data sets and models, and how it runs."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from ..cache.cache import Cache
from ..cache.files import writing
from ..encoders.models import Models
from ..encoders.precision import DType
from ..errors import UsageError
from ..manifests.catalogue import DataSetRef, parse_dataset, read_dataset
from ..manifests.frames import DEFAULT_POLICIES, POLICIES
from ..manifests.manifest import Manifest
from ..pipeline.executors import EXECUTORS, run_plan
from ..pipeline.options import RunOptions
from ..pipeline.plan import Plan, Portion, Request, make_plan
from ..pipeline.progress import progress_bar
from ..reports.console import byte_count, duration

WEIGHTS_MEMORY = "weights.json"
"""File of the cache that remembers the digests of weights."""


def _stderr() -> Console:
    return Console(stderr=True, highlight=False, markup=False)


@dataclass(frozen=True)
class Workspace:
    """What the commands share: `Workspace(Path("expclip-cache"))` is all that a notebook needs."""

    cache_folder: Path | str
    roots: Mapping[str, Path] = field(default_factory=dict)
    """Folders of data sets by catalogue name."""
    protocol: str = "released"
    device: str | None = None
    dtype: DType | None = None
    batch_size: int | None = None
    workers: int | None = None
    executor: str = "local"
    scheduler: str | None = None
    console: Console = field(default_factory=_stderr)
    """Where progress and remarks are shown."""

    def __post_init__(self) -> None:
        if self.executor not in EXECUTORS:
            raise UsageError(f"--executor {self.executor!r}: choose {' or '.join(EXECUTORS)}")
        if self.scheduler and self.executor != "dask":
            raise UsageError(f"--scheduler {self.scheduler}: only --executor dask has one")

    @cached_property
    def cache(self) -> Cache:
        return Cache(Path(self.cache_folder))

    @cached_property
    def models(self) -> Models:
        return self.models_in(self.dtype)

    def models_in(self, dtype: DType | None) -> Models:
        """The models in a given number format."""
        memory = self.cache.root / WEIGHTS_MEMORY
        return Models(memory, self.protocol, self.device, dtype)

    def read(self, ref: DataSetRef, frames: str | None = None) -> Manifest:
        """Read a data set from disk; its rows cover the default frame policies and the one asked for.

        Built-in sets are drawn where they are missing.
        """
        if frames not in (None, *POLICIES):
            raise UsageError(f"--frames {frames!r}: choose {', '.join(POLICIES)}")
        policies: dict[str, None] = dict.fromkeys([*DEFAULT_POLICIES, *([frames] if frames else [])])
        with Progress(console=self.console, transient=True, disable=not self.console.is_terminal) as bars:
            bar = bars.add_task(f"drawing {ref.name}", total=None, visible=False)

            def show(done: int, total: int) -> None:
                bars.update(bar, completed=done, total=total, visible=True)

            draws = ref.entry is not None and ref.entry.builtin
            with writing(self.cache.builtin) if draws else nullcontext():
                return read_dataset(ref, self.root_of(ref), self.cache.builtin, policies, show)

    def dataset(self, text: str) -> DataSetRef:
        """The data set that the user named. Raises UsageError where there is none."""
        return parse_dataset(text, self.cache.datasets())

    def root_of(self, ref: DataSetRef) -> Path | None:
        """The folder given for a data set."""
        return self.roots.get(ref.root_name)

    def plan(self, requests: Sequence[Request], portion: Portion | None = None) -> Plan:
        """What of some requests is missing."""
        return make_plan(self.cache, requests, portion or Portion(), self.models.device)

    def run(self, plan: Plan, requests: Sequence[Request], what: str) -> None:
        """Say what is to be done, and do it under a progress bar."""
        if plan.rows:
            size = byte_count(sum(line.bytes for line in plan.lines))
            time = "" if plan.seconds is None else f", about {duration(plan.seconds)}"
            self.console.print(f"{what}: {plan.rows:,} rows to encode, {size}{time}")
        options = RunOptions(self.models.device, self.batch_size, self.workers, self.scheduler)
        with progress_bar(what, plan.rows, self.console) as emit:
            run_plan(self.cache, plan, list(requests), options, self.executor, emit)
