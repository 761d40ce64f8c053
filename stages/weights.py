"""`expclip weights`: which files the models need, fetching and converting them, and whether they are complete."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from ..commands.unused import note_unused
from ..commands.weights import (
    CheckWeights,
    ConvertedWeights,
    ConvertWeights,
    FetchedFile,
    FetchWeights,
    ListWeights,
    ShownClassifier,
    WeightsLine,
)
from ..encoders.families import family_of
from ..encoders.node import Role
from ..encoders.systems import SYSTEMS
from ..encoders.weights import PUBLISHED, FileState, ModelFiles, file_states
from ..manifests.prompts import prompt_set
from ..pipeline.workspace import named_classes

if TYPE_CHECKING:
    from ..encoders.conversion import ConvertedClassifier


def _files(role: Role, model: str, fetch: bool = False) -> ModelFiles:
    return family_of(role, model).code.files(model, fetch)


def list_weights(request: ListWeights) -> list[WeightsLine]:
    """The models that have a name, and what of them is on this machine; the network is not used."""
    return [_line(model) for model in PUBLISHED]


def _line(model: str) -> WeightsLine:
    known = asdict(PUBLISHED[model])
    del known["llm_width"]
    files = _files(known["role"], model)
    here = sum(files.path(name) is not None for name in files.names)
    return WeightsLine(model, known.pop("role"), **known, files=len(files.names), here=here, commit=files.commit)


def _meant(request: FetchWeights | CheckWeights) -> Iterator[tuple[Role, str]]:
    """The models that were named, or else the usual ones in both roles."""
    named = bool(request.clip or request.teacher)
    for clip in dict.fromkeys(request.clip if named else [request.usual_clip]):
        yield "clip", clip
    for teacher in dict.fromkeys(request.teacher if named else [request.usual_teacher]):
        yield "teacher", teacher


def fetch_weights(request: FetchWeights) -> list[FetchedFile]:
    """Fetch what is missing of some models from the hub into its cache ($HF_HOME): of a teacher the encoder side.

    What is in a local folder is looked at, and what comes with expclip is there. Raises UsageError for an unknown
    model, ExpclipError without a network.
    """
    found = [_files(role, model, fetch=True) for role, model in _meant(request)]
    every = [part for files in found for part in files.every]
    return [FetchedFile(part.model, name, part.path(name)) for part in every for name in part.names]


def check_weights(request: CheckWeights) -> list[FileState]:
    """Compare the files of some models with the digests on record; the network is not used."""
    return [state for role, model in _meant(request) for state in file_states(_files(role, model))]


def convert_weights(request: ConvertWeights) -> ConvertedWeights:
    """Write the weights of a pickle or of a TorchScript archive as safetensors, without running anything of it.

    Raises UsageError for a file of another kind, ExpclipError where the file is damaged or holds no sound weights.
    """
    from ..encoders.clip.likeness import names_of
    from ..encoders.conversion import Asked, convert

    system = SYSTEMS[request.system]
    if not system.has_classifier:
        note_unused(request, ("classes", "prompts"), f"files of {request.system} hold no classifier")
        asked = Asked()
    else:
        asked = Asked(named_classes(request) or (), prompt_set(request.prompts) if request.prompts else None)
    made = convert(request.system, request.file, request.out, asked)
    card, said = made.card, asdict(made.card)
    del said["expclip"]
    names = [request.system] if SYSTEMS[request.system].own_form else names_of(made.shapes, card.activation)
    at = tuple(f"{name}@{made.path}" for name in names or ["ARCH"])
    more = {"left_out": made.left_out, "classifier": _shown(made.classifier)}
    return ConvertedWeights(made.path, len(made.shapes), made.bytes, names=at, **more, **said)


def _shown(made: "ConvertedClassifier | None") -> ShownClassifier | None:
    if made is None:
        return None
    prompts = dict(zip(made.card.classes, made.card.prompts, strict=True))
    return ShownClassifier(made.path, prompts, made.unlike)
