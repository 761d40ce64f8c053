"""`expclip extract`: fill the cache with the features that are missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..cache.receipts import FailedRow
from ..cache.store import FeatureStore
from ..encoders.names import DEFAULT_CLIP, DEFAULT_TEACHER
from ..encoders.node import Node
from ..errors import UsageError
from ..manifests.catalogue import DataSetRef
from ..manifests.prompts import DEFAULT_INSTRUCTION
from ..pipeline.plan import Line, Plan, Portion, Request
from .workspace import Workspace

NodeName = Literal["clip_image", "query_tokens", "llm"]
NODES: tuple[NodeName, ...] = ("clip_image", "query_tokens", "llm")
_REMARKS_SHOWN = 5


@dataclass(frozen=True)
class Wanted:
    """Which features of each data set; what is None depends on the data set's role."""

    clips: Sequence[str] | None = None
    teacher: str | None = None
    instructions: Sequence[str] | None = None
    features: Sequence[str] | None = None
    default_teacher: str = DEFAULT_TEACHER
    """The teacher where its features are wanted and none is named."""

    def __post_init__(self) -> None:
        for name in self.features or ():
            if name not in NODES:
                raise UsageError(f"--features {name!r}: choose {', '.join(NODES)}")

    def of(self, ref: DataSetRef) -> Sequence[str]:
        """Train sets need the teacher's side; others only where it is asked for or they have no role."""
        if self.features:
            return self.features
        is_train = ref.published is not None and ref.published.role == "train"
        names_teacher = ref.published is None and (self.teacher or self.instructions)
        return NODES if is_train or names_teacher else NODES[:1]


@dataclass(frozen=True)
class Extraction:
    """What `extract` did, or would do."""

    plan: Plan
    failed: dict[str, tuple[FailedRow, ...]]
    """By data set: the rows that could not be encoded, in this run or an earlier one."""

    @property
    def lines(self) -> tuple[Line, ...]:
        return self.plan.lines


def extract(
    workspace: Workspace,
    datasets: Sequence[str],
    wanted: Wanted | None = None,
    frames: str | None = None,
    portion: Portion | None = None,
    plan_only: bool = False,
) -> Extraction:
    """Extract what is missing of the features wanted of some data sets.

    Interrupted, it goes on where it stopped. Raises UsageError for what cannot be read or found, ExpclipError where
    an encoder or the disk fails; finished shards stay.
    """
    wanted = wanted or Wanted()
    requests = tuple(_request(workspace, workspace.dataset(text), wanted, frames) for text in datasets)
    plan = workspace.plan(requests, portion)
    if not plan_only:
        workspace.run(plan, requests, "extract")
    return Extraction(plan, {} if plan_only else _failed(workspace, plan))


def _request(workspace: Workspace, ref: DataSetRef, wanted: Wanted, frames: str | None) -> Request:
    manifest = workspace.read(ref, frames)
    for remark in manifest.remarks[:_REMARKS_SHOWN]:
        workspace.console.print(f"{ref.name}: {remark}", style="dim")
    if len(manifest.remarks) > _REMARKS_SHOWN:
        more = len(manifest.remarks) - _REMARKS_SHOWN
        workspace.console.print(f"{ref.name}: … {more} more; see `expclip datasets audit`", style="dim")
    return Request(manifest, tuple(_nodes(workspace, wanted, wanted.of(ref))))


def _nodes(workspace: Workspace, wanted: Wanted, names: Sequence[str]) -> list[Node]:
    models = workspace.models
    teacher = wanted.teacher or wanted.default_teacher
    nodes: list[Node] = []
    if "clip_image" in names:
        nodes += [models.clip_image(clip) for clip in wanted.clips or [DEFAULT_CLIP]]
    if "query_tokens" in names:
        nodes.append(models.query_tokens(teacher))
    if "llm" in names:
        nodes += [models.llm(teacher, name) for name in wanted.instructions or [DEFAULT_INSTRUCTION]]
    return nodes


def _failed(workspace: Workspace, plan: Plan) -> dict[str, tuple[FailedRow, ...]]:
    failed: dict[str, dict[int, FailedRow]] = {}
    for line in plan.lines:
        path = workspace.cache.store_path(line.header)
        for row in FeatureStore.open(path).failed_rows() if path.exists() else ():
            failed.setdefault(line.header.dataset, {})[row.row] = row
    return {dataset: tuple(rows[row] for row in sorted(rows)) for dataset, rows in failed.items()}
