"""Where a command works: its cache, its data sets and models, and how it runs what is missing."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from time import monotonic
from typing import Any

from rich.console import Console
from rich.filesize import decimal as byte_count

from ..cache.cache import FRAMES_MEMORY, WEIGHTS_MEMORY, Cache
from ..cache.files import writing
from ..cache.memory import FileMemory
from ..commands.request import Request
from ..encoders.dtypes import is_several
from ..encoders.families import Models
from ..errors import UsageError, option
from ..manifests.animations import only_first_frames
from ..manifests.catalogue import catalogue, parse_dataset
from ..manifests.classes import MOST_COMPARED, are_common
from ..manifests.contents import with_contents
from ..manifests.disk import kind_of
from ..manifests.frames import DEFAULT_POLICIES
from ..manifests.layouts import read_dataset
from ..manifests.limits import MAX_MEGAPIXELS, max_pixels
from ..manifests.manifest import Manifest, Origin
from ..manifests.reading import Count, count_frames
from ..manifests.stamp import stamp
from ..reports.console import duration, show_remark, stderr
from ..settings import cache_folder, read_settings
from .apart import Crew, Died
from .beginning import say_new
from .events import Emit, Event, ShardFinished
from .executors import RunOptions, run_plan
from .identity import DataSets, Known, resolved
from .plan import Plan, Portion, Wanted, apart, make_plan
from .progress import Show, counted, progress_bar
from .spent import WORTH_SAYING, Spent


@dataclass(frozen=True)
class Workspace:
    """What the stages share. `Workspace.of(request)` takes what the request says of it."""

    cache: Cache
    roots: Mapping[str, Path]
    """Folders of data sets by catalogue name, and of lists by what was typed."""
    models: Models
    options: RunOptions
    named_cache: Path | None = None
    """The cache as the request names it, which a command that is printed must name too."""
    is_kept: bool = True
    """Whether the cache stays when the command is done."""
    console: Console = field(default_factory=stderr)

    texts: Sequence[str] = ()
    """The data sets of the command, as they were typed."""
    by_contents: bool | None = None
    """Whether files are told by their contents; None is as the cache has it."""
    classes: tuple[str, ...] | None = None
    """The classes that are told apart; none are those that each data set has. What was said of label numbers before
    holds where it is None."""
    order: str | None = None
    """Of a clip's frames; None is as the cache has it."""
    options_asked: Collection[str] = ()
    """The names of the command's options, for messages that advise one."""
    listeners: list[Emit] = field(default_factory=list)
    """Who else is told what happens while features are made."""
    said: set[str] = field(default_factory=set)
    """What was said of data sets and models: nothing is said twice."""

    @classmethod
    def of(cls, request: Request, datasets: Sequence[str] = ()) -> "Workspace":
        """The workspace of a request for some data sets. Raises UsageError for a root that is no data set's.

        The cache and the roots are looked up in expclip.toml where the request does not name them.
        """
        said, settings = vars(request), read_settings()
        cache = Cache(cache_folder(said["cache"], settings))
        roots = dict(settings.roots) | _roots(said.get("root", ()), datasets, cache)
        models = Models(
            cache.root / WEIGHTS_MEMORY,
            said.get("device"),
            lambda name, text: workspace.remark(name, text),
            is_elsewhere=bool(said.get("scheduler")),
        )
        options = RunOptions(max_pixels=max_pixels(said.get("max_megapixels", MAX_MEGAPIXELS)))
        if said.keys() >= {"batch_size", "workers"}:
            scheduler = said.get("scheduler")
            are_many = scheduler or is_several(said["device"])
            executor = said.get("executor") or ("dask" if are_many else "local")
            how = {"batch_size": said["batch_size"], "workers": said["workers"], "scheduler": scheduler}
            options = replace(options, executor=executor, **how)
        more: dict[str, Any] = {"texts": datasets, "by_contents": _by_contents(request), "options_asked": tuple(said)}
        more |= {"classes": named_classes(request), "order": said.get("order")}
        workspace = cls(cache, roots, models, options, said["cache"], **more)
        return workspace

    @property
    def chosen(self) -> tuple[str, ...]:
        """The names of the classes that are told apart; () for those that each data set has."""
        return () if self.classes is None or are_common(self.classes) else self.classes

    def has(self, name: str) -> bool:
        """Whether the command has an option."""
        return name in self.options_asked

    @cached_property
    def _datasets(self) -> DataSets:
        return DataSets(self.cache, self.roots, self.texts)

    @cached_property
    def _reads(self) -> dict[tuple[str, tuple[str, ...]], Manifest]:
        """The data sets that were read from disk, by folder and frame policies."""
        return {}

    @cached_property
    def manifests(self) -> dict[str, Manifest | None]:
        """The data sets that were looked at, as they are in the cache."""
        return {}

    @cached_property
    def readings(self) -> dict[str, list[Manifest]]:
        """All readings of data sets that were looked at, by folder, as the cache keeps them."""
        return {}

    @cached_property
    def _frame_counts(self) -> FileMemory[int]:
        return FileMemory(int, self.cache.root / FRAMES_MEMORY)

    @contextmanager
    def counting(self) -> Iterator[Count]:
        """How many frames a video or an animated picture has, as is remembered or counted now; 0 where it cannot be.

        They are counted in a process of its own, which a file may end: its rows fail when it is decoded.
        """
        with Crew(count_frames, min(1, self.options.processes)) as crew:

            def count_apart(path: Path) -> int:
                (found,) = crew.submit([(path,)]).result()
                return 0 if isinstance(found, Died) else found

            def count(path: Path) -> int:
                with suppress(OSError):
                    return self._frame_counts.of(path, count_apart)
                return 0

            yield count

    def dataset(self, text: str) -> Known:
        """The data set that the user named. Raises UsageError where there is none, or where several may be meant."""
        return self._datasets[text]

    def distinct(self, texts: Sequence[str]) -> list[str]:
        """Data sets without repetitions: two paths may lead to one."""
        first: dict[str, str] = {}
        for text in texts:
            first.setdefault(self.dataset(text).folder, text)
        return list(first.values())

    def read(self, known: Known, frames: str | None = None, policies: Iterable[str] = DEFAULT_POLICIES) -> Manifest:
        """Read a data set from disk; its rows cover some frame policies and the one asked for.

        Built-in sets are drawn where they are missing.
        """
        every: dict[str, None] = dict.fromkeys([*policies, *([frames] if frames else [])])
        asked = (known.folder, tuple(every))
        if asked not in self._reads:
            self._reads[asked] = self._read(known, tuple(every))
        return self._reads[asked]

    def _read(self, known: Known, covered: tuple[str, ...]) -> Manifest:
        ref = known.ref
        draws = ref.entry is not None and ref.entry.builtin
        mark = "" if draws or known.files is None or known.is_gone else stamp(ref, known.files)
        place = writing(self.cache.builtin) if draws else nullcontext()
        what = f"{'drawing' if draws else 'reading'} {known.label}"
        with self.progress(what, "files") as show, place, self.counting() as count:
            how = self.how_to_read(known)
            root = None if ref.path and known.files == ref.path.absolute() else known.files
            said: dict[str, Any] = {"numbers": how.numbers, "order": how.order, "count": count}
            manifest = read_dataset(ref, root, self.cache.builtin, covered, show, **said)
            where = how.root or (resolved(Path(manifest.root)) if manifest.root else "")  # if it is drawn only now
            origin = replace(how, label=known.label, root=where, stamp=mark, numbers=manifest.origin.numbers)
            manifest = replace(manifest, origin=origin)
            return with_contents(manifest, show) if how.has_contents else manifest

    def how_to_read(self, known: Known) -> Origin:
        """The origin of a data set when it is read: as this command says, or else as it was read before."""
        before = known.entry.origin if known.entry else known.origin
        return replace(
            known.origin,
            numbers=before.numbers if self.classes is None else self.classes,
            order=self.order or before.order,
            has_contents=before.has_contents if self.by_contents is None else self.by_contents,
        )

    def remark(self, label: str, *remarks: str) -> None:
        """Say something about a data set or a model, once."""
        for line in (f"{label}: {remark}" for remark in remarks):
            if line not in self.said:
                self.said.add(line)
                show_remark(self.console, line, style="dim")

    def progress(self, what: str, unit: str) -> AbstractContextManager[Show]:
        """Shows on the console how far something is that is done `unit` by `unit`."""
        return counted(what, unit, self.console)

    def plan(self, wanted: Sequence[Wanted], portion: Portion | None = None) -> Plan:
        """What is missing of what is wanted."""
        portion = replace(portion or Portion(), max_pixels=self.options.max_pixels)
        return make_plan(self.cache, wanted, portion, self.models.device, max(1, len(self.models.gpus)))

    def make(self, wanted: Sequence[Wanted], portion: Portion | None, what: str) -> list[Plan]:
        """Make what is missing of what is wanted; returns what was planned.

        Data sets that share pictures are done one after another, so that the later ones copy what the earlier have.
        """
        plans = []
        for some in apart(wanted):
            plans.append(self.plan(some, portion))
            self.run(plans[-1], some, what)
        return plans

    def run(self, plan: Plan, wanted: Sequence[Wanted], what: str) -> None:
        """Say what is to be done, and do it under a progress bar."""
        if self.is_kept:
            say_new(self.cache)
        if plan.rows:
            size = byte_count(sum(line.bytes for line in plan.lines))
            time = "" if plan.seconds is None else f", about {duration(plan.seconds)}"
            show_remark(self.console, f"{what}: {plan.rows:,} rows to encode, {size}{time}")
        self.manifests.clear()
        self.readings.clear()
        self._reads.clear()
        if copied := sum(line.copied for line in plan.lines):
            show_remark(self.console, f"{what}: {copied:,} rows are copied from other stores")
        first_frames: dict[str, set[int]] = defaultdict(set)
        least: dict[str, int] = {}
        spent, started = Spent(), monotonic()
        options = replace(self.options, device=self.models.device, gpus=self.models.gpus)
        with progress_bar(what, plan.rows, self.console) as show:

            def listen(event: Event) -> None:
                for one in (show, *self.listeners):
                    one(event)
                if isinstance(event, ShardFinished):
                    first_frames[event.dataset].update(event.receipt.first_frames)
                    least[event.store] = event.receipt.batch_size
                    spent.note(event)

            run_plan(self.cache, plan, wanted, options, listen)
        self._frame_counts.keep()
        self._say_spent(spent, monotonic() - started)
        for store, size in least.items():
            if size < options.rows_per_batch:
                self.remark(store, f"the memory allowed {size} rows at a time: a batch size of {size} begins so")
        for manifest in (one.manifest for one in wanted):
            names = [manifest.rows.names[row] for row in sorted(first_frames[manifest.label])]
            self.remark(manifest.label, *only_first_frames(names))

    def _say_spent(self, spent: Spent, wall: float) -> None:
        """What a run of some length spent its time on."""
        for store, said in spent.lines() if wall >= WORTH_SAYING else ():
            self.remark(store, said)


def _by_contents(request: Request) -> bool | None:
    """Whether a request says to tell files by their contents; None where it says nothing."""
    said: bool = getattr(request, "hash", False)
    return said if said or "hash" in request.typed else None


def named_classes(request: Request) -> tuple[str, ...] | None:
    """The class names that a request says; None where it says nothing about them."""
    said: Sequence[str] = getattr(request, "classes", ())
    words = tuple(word.strip() for text in said for word in text.split(","))
    if len(words) > MOST_COMPARED:
        raise UsageError(f"{option('classes')}: {len(words):,} names, and up to {MOST_COMPARED:,} can be told apart")
    if not all(words):
        raise UsageError(f"{option('classes')} {','.join(said)!r}: give names with a comma between them")
    return words if words or "classes" in request.typed else None


def _roots(said: Sequence[str], datasets: Sequence[str], cache: Cache) -> dict[str, Path]:
    """Folders by catalogue name, and of lists by what was typed; one without a name is for the only data set, or for
    all where these are lists."""
    if not said:
        return {}
    titles = cache.datasets()
    refs = {text: parse_dataset(text, titles) for text in datasets}
    paths = {text: ref for text, ref in refs.items() if ref.path is not None}
    are_lists = all(ref.path is not None and kind_of(ref.path) != "folder" for ref in refs.values())
    roots: dict[str, Path] = {}
    for text in said:
        name, equals, folder = text.partition("=")
        named = [one for one, ref in paths.items() if name in (one, ref.name)] if equals else []
        if equals and name in catalogue():
            roots[name] = Path(folder)
        elif named:
            roots |= dict.fromkeys(named, Path(folder))
        elif len(datasets) == 1 or (refs and are_lists):
            roots |= {one if ref.path else ref.root_name: Path(text) for one, ref in refs.items()}
        else:
            raise UsageError(f"{option('root')} {text}: with several data sets write NAME=DIR")
    return roots
