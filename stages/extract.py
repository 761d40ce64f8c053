"""`expclip extract`: fill the cache with the features that are missing."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from ..cache.store import FeatureStore
from ..commands.extract import FEATURES, Extract, Extraction, FailedImage, StoreState
from ..commands.unused import NO_CLIPS, note_unused
from ..encoders.node import NODES, Node
from ..manifests.catalogue import DataSetRef
from ..manifests.manifest import Manifest
from ..manifests.prompts import DEFAULT_INSTRUCTION
from ..pipeline.checks import refuse_unknown_datasets, refuse_unknown_models
from ..pipeline.needs import Need, node_of
from ..pipeline.plan import Line, Plan, Portion, Wanted
from ..pipeline.workspace import Workspace

_REMARKS_SHOWN = 5


def extract(request: Extract) -> Extraction:
    """Extract what is missing of the features wanted of some data sets.

    After an interruption it resumes where it stopped. Raises UsageError for what cannot be read or found,
    ExpclipError where an encoder or the disk fails; finished shards are kept.
    """
    workspace = Workspace.of(request, request.datasets)
    refuse_unknown_models(request, "clip", "teacher", "instruction")
    refuse_unknown_datasets(workspace, request, request.datasets)
    manifests = [_read(workspace, request, text) for text in request.datasets]
    _note_unused(workspace, request, manifests)
    wanted = [
        Wanted(manifest, _nodes(workspace, request, text))
        for manifest, text in zip(manifests, request.datasets, strict=True)
    ]
    plan = workspace.plan(wanted, Portion(request.limit, request.shards()))
    states = tuple(_state(workspace, line) for line in plan.lines)
    if request.plan:
        return Extraction(states, 0, ())
    workspace.run(plan, wanted, "extract")
    return Extraction(states, plan.rows, _failed(plan, [state.path for state in states]))


def _read(workspace: Workspace, request: Extract, dataset: str) -> Manifest:
    ref = workspace.dataset(dataset)
    manifest = workspace.read(ref, request.frames)
    for remark in manifest.remarks[:_REMARKS_SHOWN]:
        workspace.console.print(f"{ref.name}: {remark}", style="dim")
    if len(manifest.remarks) > _REMARKS_SHOWN:
        more = len(manifest.remarks) - _REMARKS_SHOWN
        workspace.console.print(f"{ref.name}: … {more} more; see `expclip datasets audit`", style="dim")
    return manifest


def _note_unused(workspace: Workspace, request: Extract, manifests: Sequence[Manifest]) -> None:
    if all(manifest.kind != "clips" for manifest in manifests):
        note_unused(request, "frames", NO_CLIPS)
    kinds = [NODES[name] for text in request.datasets for name in _features(request, workspace.dataset(text))]
    if all(kind.role != "clip" for kind in kinds):
        note_unused(request, "clip", "none of these features is CLIP's")
    if all(kind.role != "teacher" for kind in kinds):
        note_unused(request, ("teacher", "instruction"), "none of these features is a teacher's")
    elif not any(kind.has_instruction for kind in kinds):
        note_unused(request, "instruction", "none of these features depends on it")


def _nodes(workspace: Workspace, request: Extract, dataset: str) -> tuple[Node, ...]:
    features = _features(request, workspace.dataset(dataset))
    return tuple(node_of(workspace, need) for name in features for need in _needs(request, dataset, name))


def _features(request: Extract, ref: DataSetRef) -> tuple[str, ...]:
    """Train sets need the teacher's side; others only where it is asked for or they have no role."""
    if request.features:
        return tuple(name for name in FEATURES if name in request.features)
    is_train = ref.published is not None and ref.published.role == "train"
    names_teacher = ref.published is None and (request.teacher or request.instruction)
    return FEATURES if is_train or names_teacher else FEATURES[:1]


def _needs(request: Extract, dataset: str, node: str) -> Iterator[Need]:
    """One for each of the options that the node depends on."""
    kind = NODES[node]
    models = request.clip if kind.role == "clip" else [request.teacher or request.usual_teacher]
    instructions = request.instruction or (DEFAULT_INSTRUCTION,) if kind.has_instruction else ("",)
    for model in models:
        for instruction in instructions:
            yield Need(dataset, node, model, instruction, request.protocol, request.dtype, request.frames)


def _state(workspace: Workspace, line: Line) -> StoreState:
    header = line.header
    names = ("dataset", "node", "model", "instruction", "protocol", "untrained", "rows", "encoder_digest", "key")
    known = {name: getattr(header, name) for name in names}
    path = workspace.cache.store_path(header)
    missing = {"missing": line.to_do, "bytes": line.bytes, "seconds": line.seconds}
    return StoreState(**known, cached=line.done, **missing, path=path)


def _failed(plan: Plan, paths: Iterable[Path]) -> tuple[FailedImage, ...]:
    """The rows that some stores lack, each once per data set."""
    failed: dict[str, dict[int, FailedImage]] = {line.header.dataset: {} for line in plan.lines}
    for path in paths:
        if path.exists():
            store = FeatureStore.open(path)
            of = failed[store.header.dataset]
            of |= {one.row: FailedImage(store.header.dataset, **asdict(one)) for one in store.failed_rows()}
    return tuple(rows[row] for rows in failed.values() for row in sorted(rows))
