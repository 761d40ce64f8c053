"""Published weights as safetensors, with a card of where they come from; nothing of the source is run."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from safetensors.torch import save_file

from ..cache.files import new_file
from ..errors import ExpclipError, UsageError, option, reason
from ..lazy import load
from ..manifests.prompts import PromptSet
from .hashes import Hashes
from .state_dict import Tensors, read_tensors
from .systems import SYSTEMS
from .weights_card import ClassifierCard, WeightsCard, card_of, classifier_card_of

SUFFIX = ".safetensors"
_SAID = {True: "yes", False: "no", None: "unknown"}


@dataclass(frozen=True)
class Asked:
    """What is said of the classifier in a file."""

    classes: tuple[str, ...] = ()
    """In its order; none where the file is one of those whose classes are known."""
    prompts: PromptSet | None = None
    """What its descriptions should be."""


@dataclass(frozen=True)
class ConvertedClassifier:
    """The classifier of a file, which was written beside its CLIP."""

    path: Path
    card: ClassifierCard
    unlike: tuple[str, ...]
    """Classes whose descriptions have other lengths than the released ones, where nobody said what they should be."""


@dataclass(frozen=True)
class Converted:
    """A file that was written."""

    path: Path
    card: WeightsCard
    shapes: Mapping[str, tuple[int, ...]]
    """Of its tensors, by name."""
    left_out: tuple[str, ...]
    """What stood among the weights and is no tensor."""
    classifier: ConvertedClassifier | None = None

    @property
    def bytes(self) -> int:
        return self.path.stat().st_size


def convert(system: str, source: Path, out: Path | None = None, asked: Asked = Asked()) -> Converted:
    """Write the weights of a file as safetensors, beside it unless told where, and beside that its classifier if any.

    Raises UsageError where another file is there already, ExpclipError where the source has no sound weights.
    """
    kind = SYSTEMS[system]
    final = out or source.with_suffix(SUFFIX)
    if final.suffix != SUFFIX:
        raise UsageError(f"{option('out')} {final}: give a name that ends with {SUFFIX}")
    if source.suffix == SUFFIX:
        raise UsageError(f"{source} is safetensors already: there is nothing to convert")
    if not source.is_file():
        raise UsageError(f"there is no file {source}" if not source.exists() else f"{source} is no file")
    sha256 = Hashes().sha256(source)
    _refuse_anothers(final, card_of(final), sha256)
    if kind.has_classifier:
        _refuse_anothers(beside_clip(final), classifier_card_of(beside_clip(final)), sha256)
    tensors, left_out = read_tensors(source, kind)
    if kind.own_form:
        tensors = _in_own_form(source, system, tensors)
    card = WeightsCard(source.name, sha256, system, _SAID[kind.quick_gelu], version("expclip"))
    if kind.has_classifier:
        return _with_classifier(source, final, card, tensors, tuple(left_out), asked)
    if kind.is_whole_clip:
        _require_whole_clip(source, system, _shapes(tensors))
    with new_file(final, option("out")) as temporary:
        _save(tensors, temporary, card.metadata)
    return Converted(final, card, _shapes(tensors), tuple(left_out))


def beside_clip(clip: Path) -> Path:
    """The file of the classifier that is written with the file of a CLIP."""
    return clip.with_name(f"{clip.stem}-head{SUFFIX}")


def _refuse_anothers(path: Path, before: WeightsCard | ClassifierCard | None, sha256: str) -> None:
    """Raise UsageError for a file that was not converted from the same source."""
    if path.exists() and (before is None or before.source_sha256 != sha256):
        raise UsageError(f"{path} is there already: remove it, or write elsewhere with {option('out')}")


def _with_classifier(
    source: Path, final: Path, card: WeightsCard, tensors: Tensors, left_out: tuple[str, ...], asked: Asked
) -> Converted:
    """Write a CLIP and the classifier behind it: where there is the former, there is the latter."""
    from .dfer_classifier import classes_in_order, classifier_of
    from .dfer_file import parts_of  # by open_clip

    try:
        file = parts_of(tensors)
        classes = classes_in_order(len(file.rest), asked.classes, source)
        found = classifier_of(file, classes, asked.prompts, source)
    except ValueError as error:
        raise _none_of(source, card.system, reason(error)) from error
    behind, prompts = beside_clip(final), tuple(found.prompts.values())
    with new_file(final, option("out")) as temporary:
        _save(file.clip, temporary, card.metadata)
        clip = Hashes().sha256(temporary)
        said = ClassifierCard(card.source, card.source_sha256, card.system, clip, card.expclip, classes, prompts)
        with new_file(behind, option("out")) as beside:
            _save(found.tensors, beside, said.metadata)
    return Converted(final, card, _shapes(file.clip), left_out, ConvertedClassifier(behind, said, found.unlike))


def _save(tensors: Tensors, file: Path, metadata: dict[str, str]) -> None:
    file.touch()
    permissions = file.stat().st_mode
    save_file(tensors, file, metadata)
    file.chmod(permissions)  # safetensors makes files that only their owner reads


def _shapes(tensors: Tensors) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def _in_own_form(source: Path, system: str, tensors: Tensors) -> Tensors:
    try:
        return load(SYSTEMS[system].own_form)(tensors)
    except ValueError as error:
        raise _none_of(source, system, str(error)) from error


def _require_whole_clip(source: Path, system: str, shapes: Mapping[str, tuple[int, ...]]) -> None:
    from .clip.likeness import misfit  # by open_clip

    problem = misfit(shapes)
    if problem:
        raise _none_of(source, system, problem)


def _none_of(source: Path, system: str, problem: str) -> ExpclipError:
    return ExpclipError(f"{source} is none of {system}'s files ({problem}): get the file again, or name its system")
