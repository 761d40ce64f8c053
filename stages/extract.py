"""`expclip extract`: fill the cache with the features that are missing."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import chain

from ..cache.store import FeatureStore
from ..commands.extract import FEATURES, Extract, Extraction, FailedImage, StoreState
from ..commands.unused import NO_CLIPS, note_unused
from ..encoders.node import NODES, Node
from ..errors import UsageError
from ..manifests.classes import chosen_classes
from ..manifests.manifest import Manifest
from ..manifests.prompts import DEFAULT_INSTRUCTION
from ..manifests.protocols import RELEASED
from ..pipeline.checks import refuse_unknown_datasets, refuse_unknown_models
from ..pipeline.events import ignore
from ..pipeline.identity import Known
from ..pipeline.needs import Need, canonical_model, node_of, say_own_protocols
from ..pipeline.plan import Line, Portion, Wanted
from ..pipeline.profile import profile
from ..pipeline.workspace import Workspace


def extract(request: Extract) -> Extraction:
    """Extract what is missing of the features wanted of some data sets.

    After an interruption it resumes where it stopped. Raises UsageError for what cannot be read or found,
    ExpclipError where an encoder or the disk fails; finished shards are kept.
    """
    workspace = Workspace.of(request, request.datasets)
    refuse_unknown_models(request, "clip", "teacher", "instruction")
    refuse_unknown_datasets(workspace, request, request.datasets)
    datasets = workspace.distinct(request.datasets)
    manifests = [_read(workspace, request, text) for text in datasets]
    chosen_classes(workspace.chosen, (), [name for manifest in manifests for name in manifest.classes])
    _note_unused(workspace, request, manifests)
    wanted = [
        Wanted(manifest, _nodes(workspace, request, text, manifest))
        for manifest, text in zip(manifests, datasets, strict=True)
    ]
    portion = Portion(request.limit, request.shards(), request.retry_failed)
    if request.plan:
        return Extraction(tuple(map(_state, workspace.plan(wanted, portion).lines)), 0, ())
    with profile(request.profile) if request.profile else nullcontext(ignore) as listener:
        workspace.listeners.append(listener)
        lines = [line for plan in workspace.make(wanted, portion, "extract") for line in plan.lines]
    return Extraction(tuple(map(_state, lines)), sum(line.to_do for line in lines), _failed(lines))


def _read(workspace: Workspace, request: Extract, dataset: str) -> Manifest:
    manifest = workspace.read(workspace.dataset(dataset), request.frames)
    workspace.remark(manifest.label, *manifest.remarks)
    return manifest


def _note_unused(workspace: Workspace, request: Extract, manifests: Sequence[Manifest]) -> None:
    if all(manifest.kind != "clips" for manifest in manifests):
        note_unused(request, ("frames", "order"), NO_CLIPS)
    kinds = [NODES[name] for text in request.datasets for name in _features(request, workspace.dataset(text))]
    if all(kind.role != "clip" for kind in kinds):
        note_unused(request, "clip", "none of these features is CLIP's")
    if all(kind.role != "teacher" for kind in kinds):
        note_unused(request, ("teacher", "instruction"), "none of these features is a teacher's")
    elif not any(kind.has_instruction for kind in kinds):
        note_unused(request, "instruction", "none of these features depends on it")


def _nodes(workspace: Workspace, request: Extract, dataset: str, manifest: Manifest) -> tuple[Node, ...]:
    features = _features(request, workspace.dataset(dataset))
    needs = [need for name in features for need in _needs(request, dataset, name)]
    for need in needs:
        _refuse_other_protocol(workspace, request, need, manifest)
    nodes = tuple(node_of(workspace, need, manifest) for need in needs)
    say_own_protocols(workspace, needs)
    return nodes


def _features(request: Extract, known: Known) -> tuple[str, ...]:
    """Train sets without labels need the teacher's side; paths and labelled train sets where a teacher is named.

    Test sets need it where it is asked for by its name alone.
    """
    if request.features:
        return tuple(name for name in FEATURES if name in request.features)
    published = known.ref.published
    if published is not None and published.role == "test":
        return FEATURES[:1]
    learns_from_teacher = known.ref.entry is not None and not known.ref.entry.classes
    return FEATURES if learns_from_teacher or request.teacher or request.instruction else FEATURES[:1]


def _needs(request: Extract, dataset: str, node: str) -> Iterator[Need]:
    """One for each of the options that the node depends on."""
    kind = NODES[node]
    models = request.clip if kind.role == "clip" else [request.teacher or request.usual_teacher]
    instructions = request.instruction or (DEFAULT_INSTRUCTION,) if kind.has_instruction else ("",)
    for model in models:
        for instruction in instructions:
            yield Need(dataset, node, model, instruction, request.protocol, request.dtype, request.frames)


def _refuse_other_protocol(workspace: Workspace, request: Extract, need: Need, manifest: Manifest) -> None:
    """Raise UsageError where a model's own protocol is taken, and the cache has its features under another only."""
    if need.protocol or need.rules == RELEASED:
        return
    model = canonical_model(need.node, need.model)
    every = chain.from_iterable(workspace.cache.of_manifest(manifest, need.node, model=model))
    others = {store.header.protocol for store in every if store.rows_done()}
    if others and need.rules not in others:
        one = min(others)
        both = (replace(request, clip=(need.model,), protocol=name).command() for name in (one, need.rules))
        go_on, anew = (f"`{command}`" for command in both)
        raise UsageError(
            f"{manifest.label} has features of {model} under the protocol {one}, and its own is {need.rules}: run "
            f"{go_on} to go on with them, or {anew} to encode it anew"
        )


def _state(line: Line) -> StoreState:
    names = ("node", "model", "instruction", "protocol", "untrained", "precision", "rows", "encoder_digest", "key")
    known = {name: getattr(line.header, name) for name in names}
    missing = {"missing": line.to_do, "bytes": line.bytes, "seconds": line.seconds}
    return StoreState(line.label, **known, cached=line.done, **missing, path=line.path)


def _failed(lines: Sequence[Line]) -> tuple[FailedImage, ...]:
    """The rows that some stores lack, each once per data set."""
    failed: dict[str, dict[int, FailedImage]] = {line.label: {} for line in lines}
    for line in lines:
        if line.path.exists():
            rows = FeatureStore.open(line.path).failed_rows()
            failed[line.label] |= {one.row: FailedImage(line.label, one.row, one.source, one.error) for one in rows}
    return tuple(rows[row] for rows in failed.values() for row in sorted(rows))
