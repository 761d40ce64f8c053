"""From what is wanted to the tasks that are missing. Nothing is computed and nothing is written here."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import numpy as np

from ..cache.cache import TEXT, Cache
from ..cache.header import Header
from ..cache.keys import store_key
from ..cache.receipts import FailedRow, Receipt
from ..cache.store import FeatureStore
from ..encoders.node import Node
from ..manifests.limits import MAX_PIXELS
from ..manifests.manifest import Manifest, row_name
from .copies import Copies, Copy


@dataclass(frozen=True)
class Wanted:
    """Nodes of one data set that are wanted."""

    manifest: Manifest
    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Portion:
    """Which part of the missing work is to be done now."""

    limit: int | None = None
    """Only the first so many rows of each data set."""
    part: tuple[int, int] = (1, 1)
    """(i, n): every n-th shard, beginning with the i-th."""
    retries: bool = False
    """Whether rows that could not be encoded are tried again."""
    max_pixels: int = MAX_PIXELS
    """Images of more pixels are not decoded; those that exceeded only a lower limit are tried again."""

    def stop(self, rows: range) -> int:
        """Where to stop in a shard with these rows."""
        return rows.stop if self.limit is None else min(rows.stop, max(self.limit, rows.start))

    def tries_again(self, failed: FailedRow) -> bool:
        """Whether a row that could not be encoded is tried again."""
        return self.retries or (failed.max_pixels is not None and failed.max_pixels < self.max_pixels)

    def has(self, shard: int) -> bool:
        index, of = self.part
        return shard % of == index - 1


@dataclass(frozen=True)
class Job:
    """One store's part of a task."""

    node: Node
    store: Path
    start: int
    """The first row of the task's shard that the store lacks."""
    parent_store: Path | None = None
    """Where the node's input is stored, if it is features."""
    copies: tuple[Copy, ...] = ()
    """Rows that other stores hold."""
    again: tuple[int, ...] = ()
    """Rows before the first that failed, and are tried once more."""

    def rows(self, stop: int) -> np.ndarray:
        """(n,) numbers of the rows before `stop` that are to be encoded, in order."""
        missing = np.array([*self.again, *range(self.start, stop)], dtype=np.int64)
        return np.setdiff1d(missing, np.concatenate([one.rows for one in self.copies])) if self.copies else missing


@dataclass(frozen=True)
class Task:
    """One shard for all the nodes that miss it, so that each image is decoded once."""

    dataset: str
    root: str
    shard: int
    first: int
    """Row number of the shard's first row; `stop` is a row number too."""
    stop: int
    sources: tuple[str, ...]
    """Sources of the rows first … stop."""
    frames: tuple[int, ...]
    """Frame numbers of the rows first … stop."""
    jobs: tuple[Job, ...]
    max_pixels: int = MAX_PIXELS
    """Images of more pixels are not decoded."""

    @property
    def rows(self) -> int:
        """Rows to encode, summed over stores."""
        return sum(len(job.rows(self.stop)) for job in self.jobs)

    def name(self, row: int) -> str:
        """What a row is called where it is shown."""
        return row_name(self.sources[row - self.first], self.frames[row - self.first])

    @property
    def pixel_jobs(self) -> tuple[Job, ...]:
        return tuple(job for job in self.jobs if job.node.input == "pixels")

    @cached_property
    def pixel_rows(self) -> list[int]:
        """The rows whose images are needed, in order."""
        return sorted({row for job in self.pixel_jobs for row in job.rows(self.stop).tolist()})


@dataclass(frozen=True)
class Line:
    """What a plan says of one store."""

    header: Header
    node: Node
    path: Path
    label: str
    """What the data set is called."""
    done: int
    """Rows that the cache has, in this store or in others from which they are copied."""
    copied: int
    """How many of them are in others."""
    to_do: int
    """Rows that this run would encode."""
    seconds: float | None
    """Estimated time, from the receipts of the same encoder on a device like it; None where there are none."""
    load_seconds: float
    """How much of it is loading the encoder, which is done once for all its stores."""

    @property
    def bytes(self) -> int:
        """Bytes that this run would write."""
        return self.header.bytes * self.to_do // max(self.header.rows, 1)


@dataclass(frozen=True)
class Plan:
    """Stores with what they lack, and the tasks that would make it."""

    lines: tuple[Line, ...]
    tasks: tuple[Task, ...]

    @property
    def rows(self) -> int:
        """Rows to encode, summed over stores."""
        return sum(line.to_do for line in self.lines)

    @property
    def seconds(self) -> float | None:
        """Estimated time; None where some encoder has not been timed on this device yet."""
        known = [line.seconds - line.load_seconds for line in self.lines if line.seconds is not None]
        loading = {line.node.digest: line.load_seconds for line in self.lines if line.to_do}
        return sum(known) + sum(loading.values()) if len(known) == len(self.lines) else None


def header_of(manifest: Manifest, node: Node) -> Header:
    """The header of the store that a node gives for the rows of a manifest."""
    same = ("model", "instruction", "protocol", "untrained", "spec", "row_shape")
    return Header(
        dataset=TEXT if manifest.kind == "texts" else manifest.folder,
        node=node.name,
        encoder_digest=node.digest,
        rows_digest=manifest.rows.digest,
        key=store_key(node.spec, manifest.rows.digest),
        rows=len(manifest.rows),
        wrote_by=f"expclip {version('expclip')}",
        **{name: getattr(node, name) for name in same},
    )


def apart(wanted: Iterable[Wanted]) -> list[list[Wanted]]:
    """Data sets in groups, in order, of which none holds a file twice."""
    groups: list[list[Wanted]] = []
    taken: set[str] = set()
    for one in wanted:
        files = {f"{one.manifest.origin.root}/{source}" for source in one.manifest.rows.sources}
        if not groups or not taken.isdisjoint(files):
            groups.append([])
            taken = set()
        groups[-1].append(one)
        taken |= files
    return groups


def make_plan(cache: Cache, wanted: Iterable[Wanted], portion: Portion, device: str, at_once: int = 1) -> Plan:
    """What is cached, what is missing, and the tasks that would make it, up to some at once."""
    lines: list[tuple[_State, Wanted, tuple[Task, ...]]] = []
    tasks: list[Task] = []
    for one in _distinct(wanted):
        states = {node.digest: _State(cache, one.manifest, node) for node in _with_parents(one)}
        new = _tasks(cache, one, states, portion)
        tasks += new
        asked = {node.digest for node in one.nodes}
        needed = {job.node.digest for task in new for job in task.jobs}
        lines += [(state, one, new) for digest, state in states.items() if digest in asked | needed]
    alone = _paces(cache, device) if tasks else {}
    share = min(at_once, len(tasks)) or 1
    paces = {encoder: replace(pace, per_row=pace.per_row / share) for encoder, pace in alone.items()}
    return Plan(tuple(_line(*one, paces) for one in lines), tuple(tasks))


def _line(state: "_State", wanted: Wanted, tasks: Iterable[Task], paces: Mapping[str, "_Pace"]) -> Line:
    """What the tasks of a data set do for one of its stores."""
    jobs = [(job, task.stop) for task in tasks for job in task.jobs if job.node.digest == state.node.digest]
    to_do = sum(len(job.rows(stop)) for job, stop in jobs)
    copied = sum(len(one.rows) for job, _ in jobs for one in job.copies)
    again = sum(len(job.again) for job, _ in jobs)
    pace = paces.get(state.node.digest) if to_do else _Pace(0.0, 0.0)
    return Line(
        header=state.header,
        node=state.node,
        path=state.path,
        label=wanted.manifest.label,
        done=state.done + copied - again,
        copied=copied,
        to_do=to_do,
        seconds=pace and pace.load_seconds + pace.per_row * to_do,
        load_seconds=pace.load_seconds if pace else 0.0,
    )


def _distinct(wanted: Iterable[Wanted]) -> list[Wanted]:
    """Without repetitions: the same data set may have been named twice."""
    return list({(one.manifest.digest, *(node.digest for node in one.nodes)): one for one in wanted}.values())


class _State:
    """What a store holds now."""

    def __init__(self, cache: Cache, manifest: Manifest, node: Node):
        self.header = header_of(manifest, node)
        self.node = node
        self.path = cache.store_of(self.header, manifest)
        self.receipts: dict[int, Receipt] = FeatureStore.open(self.path).finished() if self.path.exists() else {}

    @property
    def done(self) -> int:
        return sum(receipt.rows for receipt in self.receipts.values())

    def next_row(self, shard: int) -> int:
        """The first row of a shard that has no receipt."""
        receipt = self.receipts.get(shard)
        return self.header.shard_rows(shard).start + (receipt.rows if receipt else 0)

    def again(self, shard: int, stop: int, portion: Portion) -> tuple[int, ...]:
        """The rows of a shard before `stop` that could not be encoded and are tried once more."""
        receipt = self.receipts.get(shard)
        failed = receipt.failed if receipt else ()
        return tuple(one.row for one in failed if one.row < stop and portion.tries_again(one))


def _with_parents(wanted: Wanted) -> list[Node]:
    """The nodes asked for and those they are computed from, each once."""
    parents = {node.parent.digest: node.parent for node in wanted.nodes if node.parent is not None}
    return list((parents | {node.digest: node for node in wanted.nodes}).values())


def _tasks(cache: Cache, wanted: Wanted, states: dict[str, _State], portion: Portion) -> tuple[Task, ...]:
    manifest, copies = wanted.manifest, Copies(cache, wanted.manifest)
    header = next(iter(states.values())).header
    tasks = []
    for shard in filter(portion.has, range(header.shards)):
        rows = header.shard_rows(shard)
        stop = portion.stop(rows)
        jobs = _jobs(wanted, states, copies, shard, stop, portion)
        if jobs:
            sources = manifest.rows.sources[rows.start : stop]
            frames = tuple(manifest.rows.frames[rows.start : stop].tolist())
            where = manifest.label, manifest.root, shard, rows.start, stop
            tasks.append(Task(*where, sources, frames, jobs, portion.max_pixels))
    return tuple(tasks)


def _jobs(
    wanted: Wanted, states: dict[str, _State], copies: Copies, shard: int, stop: int, portion: Portion
) -> tuple[Job, ...]:
    """The stores that miss rows of a shard; a parent is among them only where a child is computed from it."""

    def job(node: Node) -> Job | None:
        state = states[node.digest]
        start = state.next_row(shard)
        again = state.again(shard, stop, portion) if start <= stop else ()
        if start >= stop and not again:
            return None
        parent_store = states[node.parent.digest].path if node.parent else None
        return Job(node, state.path, start, parent_store, copies.of_shard(state.header, range(start, stop)), again)

    missing = {node.digest: found for node in wanted.nodes if (found := job(node))}
    parents = {
        one.node.parent.digest: found
        for one in missing.values()
        if one.node.parent and len(one.rows(stop)) and (found := job(one.node.parent))
    }
    return tuple((parents | missing).values())


@dataclass(frozen=True)
class _Pace:
    """How fast an encoder is, in seconds."""

    per_row: float
    load_seconds: float
    """What loading it took on average; 0 where that was not noted."""


def _paces(cache: Cache, device: str) -> dict[str, _Pace]:
    """What the receipts of each encoder, by its digest, tell of its speed on a device."""
    rows: Counter[str] = Counter()
    seconds: dict[str, float] = defaultdict(float)
    loads: dict[str, list[float]] = defaultdict(list)
    for store in cache.stores():
        encoder = store.header.encoder_digest
        for receipt in store.receipts.read().values():
            if receipt.device == device:
                rows[encoder] += receipt.rows - receipt.copied
                seconds[encoder] += sum(receipt.seconds.values())
                loads[encoder] += [receipt.load_seconds] if receipt.load_seconds else []
    return {
        one: _Pace(seconds[one] / count, sum(loads[one]) / max(len(loads[one]), 1))
        for one, count in rows.items()
        if count > 0
    }
