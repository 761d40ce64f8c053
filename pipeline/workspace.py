"""Where a command works: its cache, its data sets and models, and how it runs what is missing."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console
from rich.filesize import decimal as byte_count
from rich.progress import Progress

from ..cache.cache import Cache
from ..cache.files import writing
from ..commands.request import Request
from ..encoders.families import Models
from ..errors import UsageError, option
from ..manifests.catalogue import DataSetRef, catalogue, parse_dataset, read_dataset
from ..manifests.frames import DEFAULT_POLICIES
from ..manifests.manifest import Manifest
from ..reports.console import duration
from ..settings import cache_folder, read_settings
from .executors import RunOptions, run_plan
from .plan import Plan, Portion, Wanted, make_plan
from .progress import progress_bar

WEIGHTS_MEMORY = "weights.json"
"""File of the cache that remembers the digests of weights."""


def stderr() -> Console:
    """Where progress and remarks are shown."""
    return Console(stderr=True, highlight=False, markup=False)


@dataclass(frozen=True)
class Workspace:
    """What the stages share. `Workspace.of(request)` takes what the request says of it."""

    cache: Cache
    roots: Mapping[str, Path]
    """Folders of data sets by catalogue name."""
    models: Models
    options: RunOptions
    named_cache: Path | None = None
    """The cache as the request names it, which a command that is printed must name too."""
    console: Console = field(default_factory=stderr)

    @classmethod
    def of(cls, request: Request, datasets: Sequence[str] = ()) -> "Workspace":
        """The workspace of a request for some data sets. Raises UsageError for a root that is no data set's.

        The cache and the roots are looked up in expclip.toml where the request does not name them.
        """
        said, settings = vars(request), read_settings()
        cache = Cache(cache_folder(said["cache"], settings))
        roots = dict(settings.roots) | _roots(said.get("root", ()), datasets)
        models = Models(cache.root / WEIGHTS_MEMORY, said.get("device"))
        if "executor" not in said:
            return cls(cache, roots, models, RunOptions(), said["cache"])
        executor = said["executor"] or ("dask" if said["scheduler"] else "local")
        options = RunOptions("", said["batch_size"], said["workers"], executor, said["scheduler"])
        return cls(cache, roots, models, options, said["cache"])

    def read(self, ref: DataSetRef, frames: str | None = None) -> Manifest:
        """Read a data set from disk; its rows cover the default frame policies and the one asked for.

        Built-in sets are drawn where they are missing.
        """
        policies: dict[str, None] = dict.fromkeys([*DEFAULT_POLICIES, *([frames] if frames else [])])
        draws = ref.entry is not None and ref.entry.builtin
        with self.progress() as bars, writing(self.cache.builtin) if draws else nullcontext():
            bar = bars.add_task(f"drawing {ref.name}", total=None, visible=False)

            def show(done: int, total: int) -> None:
                bars.update(bar, completed=done, total=total, visible=True)

            return read_dataset(ref, self.root_of(ref), self.cache.builtin, policies, show)

    def progress(self) -> Progress:
        """Progress bars on the console; none without a terminal."""
        return Progress(console=self.console, transient=True, disable=not self.console.is_terminal)

    def dataset(self, text: str) -> DataSetRef:
        """The data set that the user named. Raises UsageError where there is none."""
        return parse_dataset(text, self.cache.datasets())

    def root_of(self, ref: DataSetRef) -> Path | None:
        """The folder given for a data set."""
        return self.roots.get(ref.root_name)

    def plan(self, wanted: Sequence[Wanted], portion: Portion | None = None) -> Plan:
        """What is missing of what is wanted."""
        return make_plan(self.cache, wanted, portion or Portion(), self.models.device)

    def run(self, plan: Plan, wanted: Sequence[Wanted], what: str) -> None:
        """Say what is to be done, and do it under a progress bar."""
        if plan.rows:
            size = byte_count(sum(line.bytes for line in plan.lines))
            time = "" if plan.seconds is None else f", about {duration(plan.seconds)}"
            self.console.print(f"{what}: {plan.rows:,} rows to encode, {size}{time}")
        with progress_bar(what, plan.rows, self.console) as emit:
            run_plan(self.cache, plan, wanted, replace(self.options, device=self.models.device), emit)


def _roots(said: Sequence[str], datasets: Sequence[str]) -> dict[str, Path]:
    """Folders by catalogue name; one without a name is that of the only data set."""
    roots: dict[str, Path] = {}
    for text in said:
        name, equals, folder = text.partition("=")
        if equals and name in catalogue():
            roots[name] = Path(folder)
        elif len(datasets) == 1:
            roots[parse_dataset(datasets[0]).root_name] = Path(text)
        else:
            raise UsageError(f"{option('root')} {text}: with several data sets write NAME=DIR")
    return roots
