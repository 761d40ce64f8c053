"""The families of frozen models, and how a name becomes a model and its nodes.

A new family is a folder and a line in FAMILIES.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ExpclipError, UsageError
from ..lazy import load
from ..manifests.prompts import Instruction, instruction
from ..manifests.protocols import NATIVE, PROTOCOLS, RELEASED, Protocol
from .dtypes import DTYPES, T5_DTYPES, PartDTypes, resolve_device
from .hashes import Hashes
from .names import ModelName, clip_name, flava_name, is_flava, teacher_name
from .node import NODES, Encoder, Node, Role
from .squash import BILINEAR, Squash
from .usual_protocol import clip_protocol

if TYPE_CHECKING:
    from .weights import ModelFiles


class How(NamedTuple):
    """What a node depends on besides its model."""

    rules: Protocol
    dtypes: PartDTypes
    instruction: Instruction | None

    def squash(
        self, size: int, mean: Sequence[float], std: Sequence[float], resample: str = BILINEAR, crops: bool = False
    ) -> Squash:
        """For a model that takes pixels of this size and was trained with this mean, std and way of resizing."""
        mean_std = (list(mean), list(std)) if self.rules.normalises else None
        own = {"resample": resample, "crops": crops} if self.rules.resizes_as_trained else {}
        return Squash(size, self.rules.honours_orientation, mean_std, **own)

    def node(
        self,
        name: str,
        model: str,
        encoder: dict[str, Any],
        precision: str | dict[str, str],
        row_shape: tuple[int, ...],
        load: Callable[[str], Encoder],
        squash: Squash | None = None,
        **known: Any,
    ) -> Node:
        """A node of NODES: its spec says what encodes, which pixels and with which dtypes. `known`: other fields."""
        kind = NODES[name]
        protocol = self.rules.name if kind.of == "images" else ""
        pixels = {"protocol": protocol, "transform": squash.spec()} if squash else {}
        spec = {"node": name, **encoder, **pixels, "precision": precision, "stored": "float16"}
        return Node(name, model, spec, row_shape, kind.input, load, protocol=protocol, squash=squash, **known)


@dataclass(frozen=True)
class Code:
    """What a family's folder does. `find` resolves a name without building the model."""

    find: Callable[[str, Hashes], Any]
    """(name, hashes) → the model."""
    files: "Callable[[str, bool], ModelFiles]"
    """(name, whether to fetch them) → the files that it needs."""
    nodes: Mapping[str, Callable[[Any, How], Node]]
    """By a name of NODES: (model, how) → the node."""


@dataclass(frozen=True)
class Family:
    """A family of models in one role."""

    role: Role
    name: Callable[[str], ModelName]
    """What a text names. Raises UsageError where that is nothing."""
    target: str
    """Its Code."""
    protocol: Callable[[ModelName], str] = lambda model: RELEASED
    """The protocol that a model of this family follows where none is asked for."""
    claims: Callable[[str], bool] = lambda model: True
    """Whether a text names one of this family; it belongs to the first family that claims it."""

    @property
    def code(self) -> Code:
        return load(self.target)


FAMILIES = {
    "flava": Family("clip", flava_name, "encoders.flava:CODE", lambda model: NATIVE, is_flava),
    "clip": Family("clip", clip_name, "encoders.clip:CODE", clip_protocol),
    "blip2": Family("teacher", teacher_name, "encoders.blip2:CODE"),
}


def family_of(role: Role, model: str) -> Family:
    """The family of a model in a role."""
    return next(one for one in FAMILIES.values() if one.role == role and one.claims(model))


def usual_protocol(role: Role, model: str) -> str:
    """The protocol that a model follows where none is asked for. Raises UsageError for an unknown model."""
    family = family_of(role, model)
    return family.protocol(family.name(model))


def as_asked(protocol: str, role: Role, model: str) -> str | None:
    """How a protocol is asked for: not at all where it is the model's own."""
    try:
        return None if protocol == usual_protocol(role, model) else protocol
    except UsageError:  # a name that only the cache has
        return protocol


@dataclass(frozen=True, eq=False)
class Models:
    """Finds models and gives their nodes; each is described once."""

    memory: Path | None = None
    """File that remembers the digests of weights."""
    asked_device: str | None = None
    tell: Callable[[str, str], None] = lambda model, remark: None
    """Takes the name of a model that was found, and what the user should know of it."""
    _found: dict[tuple[Role, str], Any] = field(default_factory=dict, repr=False)
    _nodes: dict[tuple[Any, ...], Node] = field(default_factory=dict, repr=False)

    @cached_property
    def device(self) -> str:
        return resolve_device(self.asked_device)

    @cached_property
    def _hashes(self) -> Hashes:
        return Hashes(self.memory)

    def node(
        self,
        name: str,
        model: str,
        protocol: str = RELEASED,
        dtype: str | None = None,
        instruction_name: str = "",
        kept_t5: str | None = None,
    ) -> Node:
        """A node of NODES by its name, under a model, a protocol, a dtype and, where it has one, an instruction.

        `kept_t5` is T5's dtype in features that the node's are to continue, where no dtype is asked for. Raises
        UsageError for an unknown model, ExpclipError where its files cannot be had.
        """
        if NODES[name].role == "clip":
            kept_t5 = None  # it has none, and is made once
        key = name, model, protocol, dtype, instruction_name, kept_t5
        if key not in self._nodes:
            known = family_of(NODES[name].role, model).name(model)
            dtypes = PartDTypes(self.device, dtype, kept_t5, known.is_builtin)
            self._nodes[key] = self._made(name, model, protocol, dtypes, instruction_name)
        return self._nodes[key]

    def _made(self, name: str, model: str, protocol: str, dtypes: PartDTypes, instruction_name: str) -> Node:
        kind = NODES[name]
        how = How(PROTOCOLS[protocol], dtypes, instruction(instruction_name) if kind.has_instruction else None)
        code = family_of(kind.role, model).code
        if (kind.role, model) not in self._found:
            self._found[kind.role, model] = found = code.find(model, self._hashes)
            for remark in getattr(found, "remarks", ()):
                self.tell(model, remark)
        return code.nodes[name](self._found[kind.role, model], how)

    def digests(self, name: str, model: str, protocol: str, instruction_name: str = "") -> set[str] | None:
        """The encoder digests that a model's node has with any dtypes; None where the model is not on this machine.

        They say whether features are a model's, whatever it was called and wherever it ran.
        """
        try:
            if not family_of(NODES[name].role, model).code.files(model, False).are_here:
                return None
            every = [PartDTypes("cpu", dtype) for dtype in DTYPES]
            every += [PartDTypes("cpu", kept_t5=dtype) for dtype in T5_DTYPES]
            return {self._made(name, model, protocol, dtypes, instruction_name).digest for dtypes in every}
        except ExpclipError:
            return None
