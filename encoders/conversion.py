"""Published weights as safetensors, with a card of where they come from; nothing of the source is run."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from safetensors.torch import save_file

from ..cache.files import new_file
from ..errors import ExpclipError, UsageError, option
from ..lazy import load
from .hashes import Hashes
from .state_dict import Tensors, read_tensors
from .systems import SYSTEMS
from .weights_card import WeightsCard, card_of

SUFFIX = ".safetensors"
_SAID = {True: "yes", False: "no", None: "unknown"}


@dataclass(frozen=True)
class Converted:
    """A file that was written."""

    path: Path
    card: WeightsCard
    shapes: Mapping[str, tuple[int, ...]]
    """Of its tensors, by name."""
    left_out: tuple[str, ...]
    """What stood among the weights and is no tensor."""

    @property
    def bytes(self) -> int:
        return self.path.stat().st_size


def convert(system: str, source: Path, out: Path | None = None) -> Converted:
    """Write the weights of a file as safetensors, beside it unless told where.

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
    before = card_of(final)
    if final.exists() and (before is None or before.source_sha256 != sha256):
        raise UsageError(f"{final} is there already: remove it, or write elsewhere with {option('out')}")
    tensors, left_out = read_tensors(source, kind)
    if kind.own_form:
        tensors = _in_own_form(source, system, tensors)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if kind.is_whole_clip:
        _require_whole_clip(source, system, shapes)
    card = WeightsCard(source.name, sha256, system, _SAID[kind.quick_gelu], version("expclip"))
    with new_file(final, option("out")) as temporary:
        temporary.touch()
        permissions = temporary.stat().st_mode
        save_file(tensors, temporary, card.metadata)
        temporary.chmod(permissions)  # safetensors makes files that only their owner reads
    return Converted(final, card, shapes, tuple(left_out))


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
