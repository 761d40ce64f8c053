"""The families of frozen models, and how a name becomes a model and its nodes.

A new family is a folder and a line in FAMILIES.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ExpclipError, UsageError
from ..lazy import load
from ..manifests.prompts import Instruction, instruction
from ..manifests.protocols import NATIVE, PROTOCOLS, RELEASED, Protocol
from .dtypes import (
    DTYPES,
    T5_DTYPES,
    PartDTypes,
    device_elsewhere,
    gpu_names,
    gpu_numbers,
    is_several,
    resolve_device,
)
from .hashes import Hashes
from .names import ModelName, clip_name, file_name, flava_name, is_flava, is_word, teacher_name
from .node import NODES, Encoder, Node, Role
from .squash import BILINEAR, Squash
from .usual_protocol import clip_protocol

if TYPE_CHECKING:
    import torch

    from .weights import ModelFiles


class How(NamedTuple):
    """What a node depends on besides its model."""

    rules: Protocol
    dtypes: PartDTypes
    instruction: Instruction | None

    def squash(
        self,
        size: int,
        mean: Sequence[float],
        std: Sequence[float],
        resample: str = BILINEAR,
        crops: bool = False,
        shorter: int = 0,
    ) -> Squash:
        """For a model that takes pixels of this size and was trained with this mean, std and way of resizing."""
        mean_std = (list(mean), list(std)) if self.rules.normalises else None
        own: dict[str, Any] = {"resample": resample, "crops": crops, "shorter": shorter}
        return Squash(size, self.rules.honours_orientation, mean_std, **own if self.rules.resizes_as_trained else {})

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
class ClipHead:
    """What makes one embedding of the frames of a clip, in a family that learnt more for that than their mean.

    It is applied where clips are scored, so that frames are encoded and kept one by one.
    """

    frames: str
    """The policy of frames that it was made for."""
    takes: range
    """How many frames of a clip it can take."""
    weights: "Callable[[Any], Mapping[str, torch.Tensor]]"
    """Of a model that was found, in float32. Raises ExpclipError where they cannot be read."""
    embed: str
    """The function that leads from weights and frames (n, T, L) of clips of one length to (n, L), not normalised."""


@dataclass(frozen=True)
class Code:
    """What a family's folder does. `find` resolves a name without building the model."""

    find: Callable[[str, Hashes], Any]
    """(name, hashes) → the model."""
    files: "Callable[[str, bool], ModelFiles]"
    """(name, whether to fetch them) → the files that it needs."""
    nodes: Mapping[str, Callable[[Any, How], Node]]
    """By a name of NODES: (model, how) → the node."""
    clip_head: ClipHead | None = None
    """None where a clip is the mean of its frames. Of a family that has one a model's `origin` says its weights."""


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
    address: str = ""
    """Where weights are to be downloaded by hand, for `weights convert`; empty where that is not how they are had."""

    @property
    def code(self) -> Code:
        return load(self.target)


def _of_files(word: str, address: str) -> Family:
    """A family whose models are files that `weights convert WORD` makes, and that has its own pixels."""
    claims, named = partial(is_word, word), partial(file_name, word, address)
    return Family("clip", named, f"encoders.{word}:CODE", lambda model: NATIVE, claims, address)


FAMILIES = {
    "flava": Family("clip", flava_name, "encoders.flava:CODE", lambda model: NATIVE, is_flava),
    "emotionclip": _of_files("emotionclip", "https://github.com/Xeaver/EmotionCLIP"),
    "emoclip": _of_files("emoclip", "https://github.com/NickyFot/EmoCLIP"),
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
    is_elsewhere: bool = field(default=False, kw_only=True)
    """Whether GPUs are those of other machines, which are not looked for on this one."""
    tell: Callable[[str, str], None] = lambda model, remark: None
    """Takes the name of a model that was found, and what the user should know of it."""
    _found: dict[tuple[Role, str], Any] = field(default_factory=dict, repr=False)
    _nodes: dict[tuple[Any, ...], Node] = field(default_factory=dict, repr=False)

    @cached_property
    def device(self) -> str:
        """Where encoders run, as the process calls it that runs them: each worker of several GPUs sees only its own.

        Raises UsageError for a device that is not there.
        """
        if self._are_elsewhere and self.asked_device:
            return device_elsewhere(self.asked_device)
        return "cuda" if self.gpus else resolve_device(self.asked_device)

    @cached_property
    def gpus(self) -> tuple[str, ...]:
        """Where there are several GPUs of this machine, what CUDA_VISIBLE_DEVICES is to the worker of each."""
        several = self.asked_device if is_several(self.asked_device) and not self._are_elsewhere else None
        return gpu_names(gpu_numbers(several)) if several else ()

    @cached_property
    def here(self) -> str:
        """Where this process itself computes: on the first of several GPUs; the best device beside others' GPUs."""
        return resolve_device(None if self._are_elsewhere else self.asked_device)

    @property
    def _are_elsewhere(self) -> bool:
        return self.is_elsewhere and (self.asked_device or "").startswith("cuda")

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
        return family_of(kind.role, model).code.nodes[name](self.found(kind.role, model), how)

    def found(self, role: Role, model: str) -> Any:
        """The model that a name means, looked for once. Raises as `node` does."""
        if (role, model) not in self._found:
            self._found[role, model] = found = family_of(role, model).code.find(model, self._hashes)
            for remark in getattr(found, "remarks", ()):
                self.tell(model, remark)
        return self._found[role, model]

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
