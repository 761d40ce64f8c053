"""From what is wanted to the tasks that are missing. Nothing is computed and nothing is written here."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from ..cache.cache import TEXT, Cache
from ..cache.header import Header
from ..cache.keys import store_key
from ..cache.receipts import Receipt
from ..encoders.node import Node
from ..manifests.manifest import Manifest, row_name


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

    def stop(self, rows: range) -> int:
        """Where to stop in a shard with these rows."""
        return rows.stop if self.limit is None else min(rows.stop, max(self.limit, rows.start))

    def has(self, shard: int) -> bool:
        index, of = self.part
        return shard % of == index - 1


@dataclass(frozen=True)
class Job:
    """One store's part of a task: rows start … stop of the task's shard."""

    node: Node
    store: Path
    start: int
    parent_store: Path | None = None
    """Where the node's input is stored, if it is features."""


@dataclass(frozen=True)
class Task:
    """One shard for all the nodes that miss it, so that each image is decoded once."""

    dataset: str
    root: str
    shard: int
    first: int
    """Row number of the shard's first row; `start` and `stop` are row numbers too."""
    stop: int
    sources: tuple[str, ...]
    """Sources of the rows first … stop."""
    frames: tuple[int, ...]
    """Frame numbers of the rows first … stop."""
    jobs: tuple[Job, ...]

    @property
    def rows(self) -> int:
        """Rows to encode, summed over stores."""
        return sum(self.stop - job.start for job in self.jobs)

    def name(self, row: int) -> str:
        """What a row is called where it is shown."""
        return row_name(self.sources[row - self.first], self.frames[row - self.first])

    @property
    def pixel_jobs(self) -> tuple[Job, ...]:
        return tuple(job for job in self.jobs if job.node.input == "pixels")

    @property
    def start(self) -> int:
        """The first row whose image is needed."""
        return min((job.start for job in self.pixel_jobs), default=self.stop)


@dataclass(frozen=True)
class Line:
    """What a plan says of one store."""

    header: Header
    node: Node
    done: int
    """Rows that have a receipt."""
    to_do: int
    """Rows that this run would encode."""
    seconds: float | None
    """Estimated time, from the receipts of the same encoder on the same device; None where there are none."""

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
        return sum(task.rows for task in self.tasks)

    @property
    def seconds(self) -> float | None:
        """Estimated time; None where some encoder has not been timed on this device yet."""
        known = [line.seconds for line in self.lines if line.seconds is not None]
        return sum(known) if len(known) == len(self.lines) else None


def header_of(manifest: Manifest, node: Node) -> Header:
    """The header of the store that a node gives for the rows of a manifest."""
    same = ("model", "instruction", "protocol", "untrained", "spec", "row_shape")
    return Header(
        dataset=TEXT if manifest.kind == "texts" else manifest.name,
        node=node.name,
        encoder_digest=node.digest,
        rows_digest=manifest.rows.digest,
        key=store_key(node.spec, manifest.rows.digest),
        rows=len(manifest.rows),
        wrote_by=f"expclip {version('expclip')}",
        **{name: getattr(node, name) for name in same},
    )


def make_plan(cache: Cache, wanted: Iterable[Wanted], portion: Portion, device: str) -> Plan:
    """What is cached, what is missing, and the tasks that would make it."""
    stores: list[tuple[_State, int]] = []
    tasks: list[Task] = []
    for one in _distinct(wanted):
        states = {node.digest: _State(cache, header_of(one.manifest, node), node) for node in _with_parents(one)}
        asked = {node.digest for node in one.nodes}
        new = _tasks(one, states, portion)
        tasks += new
        for digest, state in states.items():
            to_do = sum(task.stop - job.start for task in new for job in task.jobs if job.node.digest == digest)
            if to_do or digest in asked:
                stores.append((state, to_do))
    speeds = _seconds_per_row(cache, device) if tasks else {}
    lines = [
        Line(state.header, state.node, state.done, to_do, _estimate(speeds.get(state.node.digest), to_do))
        for state, to_do in stores
    ]
    return Plan(tuple(lines), tuple(tasks))


def _distinct(wanted: Iterable[Wanted]) -> list[Wanted]:
    """Without repetitions: the same data set may have been named twice."""
    return list({(one.manifest.digest, *(node.digest for node in one.nodes)): one for one in wanted}.values())


class _State:
    """What a store holds now."""

    def __init__(self, cache: Cache, header: Header, node: Node):
        self.header = header
        self.node = node
        self.path = cache.store_path(header)
        store = cache.open_store(header)
        self.receipts: dict[int, Receipt] = store.finished() if store else {}

    @property
    def done(self) -> int:
        return sum(receipt.rows for receipt in self.receipts.values())

    def next_row(self, shard: int) -> int:
        """The first row of a shard that has no receipt."""
        receipt = self.receipts.get(shard)
        return self.header.shard_rows(shard).start + (receipt.rows if receipt else 0)


def _with_parents(wanted: Wanted) -> list[Node]:
    """The nodes asked for and those they are computed from, each once."""
    parents = {node.parent.digest: node.parent for node in wanted.nodes if node.parent is not None}
    return list((parents | {node.digest: node for node in wanted.nodes}).values())


def _tasks(wanted: Wanted, states: dict[str, _State], portion: Portion) -> list[Task]:
    manifest = wanted.manifest
    header = next(iter(states.values())).header
    tasks = []
    for shard in filter(portion.has, range(header.shards)):
        rows = header.shard_rows(shard)
        stop = portion.stop(rows)
        jobs = _jobs(wanted, states, shard, stop)
        if jobs:
            sources = manifest.rows.sources[rows.start : stop]
            frames = tuple(manifest.rows.frames[rows.start : stop].tolist())
            tasks.append(Task(header.dataset, manifest.root, shard, rows.start, stop, sources, frames, jobs))
    return tasks


def _jobs(wanted: Wanted, states: dict[str, _State], shard: int, stop: int) -> tuple[Job, ...]:
    """The stores that miss rows of a shard; a parent is among them only where a child needs it."""

    def misses(node: Node) -> bool:
        return states[node.digest].next_row(shard) < stop

    missing = [node for node in wanted.nodes if misses(node)]
    parents = [node.parent for node in missing if node.parent is not None and misses(node.parent)]
    jobs = {}
    for node in (*parents, *missing):
        state = states[node.digest]
        parent_store = states[node.parent.digest].path if node.parent else None
        jobs[node.digest] = Job(node, state.path, state.next_row(shard), parent_store)
    return tuple(jobs.values())


def _seconds_per_row(cache: Cache, device: str) -> dict[str, float]:
    """What the receipts of each encoder, by its digest, tell of its speed on a device."""
    rows: Counter[str] = Counter()
    seconds: dict[str, float] = defaultdict(float)
    for store in cache.stores():
        for receipt in store.receipts.read().values():
            if receipt.device == device:
                rows[store.header.encoder_digest] += receipt.rows
                seconds[store.header.encoder_digest] += sum(receipt.seconds.values())
    return {digest: seconds[digest] / count for digest, count in rows.items()}


def _estimate(seconds_per_row: float | None, rows: int) -> float | None:
    if not rows:
        return 0.0
    return None if seconds_per_row is None else seconds_per_row * rows
