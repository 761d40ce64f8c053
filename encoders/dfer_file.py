"""DFER-CLIP's released files: a CLIP, the model over the frames of a clip, and a prompt for each class.

The CLIP is in them twice: whole, and as the towers that were trained and used. Source: Zhao and Patras, BMVC 2023,
and its released code; a real file was never opened for this.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ..errors import brief
from .clip.likeness import misfit

Tensors = Mapping[str, torch.Tensor]

_CLIP, _IMAGE, _TEXT, _TEMPORAL = "clip_model_.", "image_encoder.", "text_encoder.", "temporal_net."
_CONTEXT, _START, _REST = (f"prompt_learner.{name}" for name in ("ctx", "token_prefix", "token_suffix"))
_NOT_OF_TEXTS = ("visual.", "token_embedding.", "logit_scale")
"""How the tensors of a CLIP begin that its text transformer has none of."""
_INNER, _PLACES, _MLP = 512, 17, 2
"""Of the model over frames: width of its attention, its class token and 16 frames, and its MLP's multiple of L."""


@dataclass(frozen=True, eq=False)
class DferFile:
    """The parts of such a file."""

    clip: dict[str, torch.Tensor]
    """A whole CLIP, by open_clip's names."""
    temporal: dict[str, torch.Tensor]
    """The model over frames, by the names of `heads.temporal`."""
    start: torch.Tensor
    """(classes, 1, W) the embedding that each prompt begins with."""
    context: torch.Tensor
    """(classes, n, W) the learnt vectors that follow."""
    rest: torch.Tensor
    """(classes, s, W) the embeddings of words, an end and padding."""


def parts_of(tensors: Tensors) -> DferFile:
    """The parts of a state dict, whose names have no common prefix. Raises ValueError where it is no such file's."""
    clip = _behind(tensors, _CLIP)
    if problem := misfit({name: tuple(value.shape) for name, value in clip.items()}):
        raise ValueError(f"of its {_CLIP}*, {problem}")
    for name, value in tensors.items():
        if not value.is_floating_point():
            raise ValueError(f"{brief(name)} holds {value.dtype}")
    _refuse_other_copy(tensors, _IMAGE, _behind(clip, "visual."), "visual.")
    _refuse_other_copy(tensors, _TEXT, {name: clip[name] for name in clip if not name.startswith(_NOT_OF_TEXTS)})
    temporal = _temporal(tensors, clip["text_projection"].shape[1])
    width, places = clip["ln_final.weight"].shape[0], clip["positional_embedding"].shape[0]
    found = DferFile(clip, temporal, *_prompts(tensors, width, places))
    for name in tensors:
        if not name.startswith((_CLIP, _IMAGE, _TEXT, _TEMPORAL)) and name not in (_CONTEXT, _START, _REST):
            raise ValueError(f"it has too {brief(name)}")
    return found


def _behind(tensors: Tensors, prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _refuse_other_copy(tensors: Tensors, prefix: str, expected: Tensors, of: str = "") -> None:
    """Raise ValueError where what was used is not to the bit what the whole CLIP has."""
    found = _behind(tensors, prefix)
    for name in sorted(found.keys() ^ expected.keys()):
        raise ValueError(f"it {'has too' if name in found else 'lacks'} {brief(prefix + name)}")
    for name, value in found.items():
        if not is_same(value, expected[name]):
            raise ValueError(f"{prefix}{name} is not {_CLIP}{of}{name}, which must be the same tensor")


def is_same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors have the same dtype, shape and bits."""
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    return torch.equal(bits(one.reshape(-1)), bits(other.reshape(-1)))


def bits(tensor: torch.Tensor) -> torch.Tensor:
    """(…, bytes) uint8 of a tensor."""
    return tensor.contiguous().view(torch.uint8)


def _temporal(tensors: Tensors, width: int) -> dict[str, torch.Tensor]:
    """The model over frames by our names, without the dimensions of length one before its tokens."""
    found, known = _behind(tensors, _TEMPORAL), _names_of_temporal(width)
    for name in sorted(found.keys() ^ known.keys()):
        raise ValueError(f"it {'has too' if name in found else 'lacks'} {brief(_TEMPORAL + name)}")
    for name, value in found.items():
        _refuse_shape(_TEMPORAL + name, value, known[name][1])
    first = {"cls_token": (width,), "pos_embedding": (_PLACES, width)}
    return {
        known[name][0]: value.float().reshape(first.get(name, value.shape)).contiguous()
        for name, value in found.items()
    }


def _names_of_temporal(width: int) -> dict[str, tuple[str, tuple[int, ...]]]:
    """What the tensors of the one block are called here, and their shapes, by what they are called there."""
    attends, widens = "temporal_transformer.layers.0.0.fn", "temporal_transformer.layers.0.1.fn"
    known: dict[str, tuple[str, tuple[int, ...]]] = {
        "cls_token": ("class_token", (1, 1, width)),
        "pos_embedding": ("positions", (1, _PLACES, width)),
        f"{attends}.fn.to_qkv.weight": ("0.qkv.weight", (3 * _INNER, width)),
    }
    layers = {
        f"{attends}.fn.to_out.0": ("0.out", (width, _INNER)),
        f"{widens}.fn.net.0": ("0.up", (_MLP * width, width)),
        f"{widens}.fn.net.3": ("0.down", (width, _MLP * width)),
        f"{attends}.norm": ("0.norm1", (width,)),
        f"{widens}.norm": ("0.norm2", (width,)),
    }
    for theirs, (ours, shape) in layers.items():
        known |= {f"{theirs}.weight": (f"{ours}.weight", shape), f"{theirs}.bias": (f"{ours}.bias", shape[:1])}
    return known


def _refuse_shape(name: str, value: torch.Tensor, expected: tuple[int, ...]) -> None:
    if tuple(value.shape) != expected:
        raise ValueError(f"{name} has the shape {tuple(value.shape)} instead of {expected}")
    if not value.isfinite().all():
        raise ValueError(f"{name} holds numbers that are not finite")


def _prompts(tensors: Tensors, width: int, places: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Beginning, context and rest of each class's prompt; a context may be shared by all."""
    for name in (_CONTEXT, _START, _REST):
        if name not in tensors:
            raise ValueError(f"it lacks {name}")
    context, rest = tensors[_CONTEXT], tensors[_REST]
    if context.ndim not in (2, 3) or rest.ndim != 3 or not len(rest):
        raise ValueError(f"{_CONTEXT} {tuple(context.shape)} and {_REST} {tuple(rest.shape)} are of no prompts")
    classes, length = len(rest), context.shape[-2]
    context = context.expand(classes, *context.shape) if context.ndim == 2 else context
    _refuse_shape(_CONTEXT, context, (classes, length, width))
    _refuse_shape(_START, tensors[_START], (classes, 1, width))
    _refuse_shape(_REST, rest, (classes, places - 1 - length, width))
    return tensors[_START], context, rest
