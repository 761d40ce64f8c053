"""Weights of a FLAVA: of its checkpoint the towers alone, all of them and nothing that is not known by its name."""

from collections.abc import Collection, Iterable

import torch

from ...errors import ExpclipError, brief
from ..checkpoint import INDEX, Checkpoint
from ..state_dict import read_tensors
from ..systems import System
from .flava_model import PICKLE, PREFIX, FlavaModel

_OTHER_PARTS = (
    *("multimodal_model.", "image_to_mm_projection.", "text_to_mm_projection."),
    *("image_model.pooler.", "text_model.pooler."),
)
_OTHER_TENSORS = (
    *("logit_scale", "image_model.embeddings.mask_token"),
    *("text_model.embeddings.position_ids", "text_model.embeddings.token_type_ids"),
)
"""Of a FlavaModel; older checkpoints also hold the numbers of the places."""
_HEADS = ("image_codebook.", "mim_head.", "mlm_head.", "itm_head.", "mmm_image_head.", "mmm_text_head.")
"""Of the pre-training, beside the FlavaModel."""
_PICKLED = System(
    "FLAVA's pickle",
    not_weights=(*_OTHER_TENSORS, *(f"{PREFIX}{name}" for name in _OTHER_TENSORS)),
    other_tasks=(*_OTHER_PARTS, *(f"{PREFIX}{name}" for name in _OTHER_PARTS), *_HEADS),
)
_SHOWN = 2


def fill(parts: torch.nn.Module, model: FlavaModel, device: str) -> None:
    """Give modules without storage their tensors, in the modules' dtype, and set them to evaluation.

    Raises ExpclipError where a tensor is lacking or foreign, which is known by the names alone, and where one has
    another shape or holds no fractions.
    """
    assert model.checkpoint is not None
    empty, state = parts.state_dict(), {}
    for name, tensor in _tensors(model, model.checkpoint, empty):
        like = empty[name]
        if tensor.shape != like.shape:
            sizes = f"{tuple(tensor.shape)} there and {tuple(like.shape)} by the configuration"
            raise _misfit(model, f"{name} is {sizes}")
        if not tensor.is_floating_point():
            raise _misfit(model, f"{name} holds {tensor.dtype}: quantised weights are not supported")
        state[name] = tensor.to(device, like.dtype)
    parts.load_state_dict(state, strict=True, assign=True)
    parts.eval().requires_grad_(False)


def _tensors(
    model: FlavaModel, checkpoint: Checkpoint, wanted: Collection[str]
) -> Iterable[tuple[str, torch.Tensor]]:
    """The tensors that are wanted, by their names in a FlavaModel; of safetensors nothing else is read."""
    if model.weights == (PICKLE,):
        read, _ = read_tensors(checkpoint.file(PICKLE), _PICKLED)
        prefix = _prefix(model, read, wanted)
        return ((name, read[prefix + name]) for name in wanted)
    prefix = _prefix(model, checkpoint.tensors(), wanted)
    found = checkpoint.read(prefix + name for name in wanted)
    return ((name.removeprefix(prefix), tensor) for name, tensor in found)


def _prefix(model: FlavaModel, stored: Collection[str], wanted: Collection[str]) -> str:
    """What stands before the names of the towers. Raises ExpclipError where they are not exactly what is wanted."""
    prefix = PREFIX if any(name.startswith(PREFIX) for name in stored) else ""
    theirs = {name for name in stored if not _is_left_out(name, prefix)}
    ours = {f"{prefix}{name}" for name in wanted}
    lacking, foreign = _some(ours - theirs), _some(theirs - ours)
    if lacking or foreign:
        problems = [f"lack {lacking}"] * bool(lacking) + [f"have {foreign}, which FLAVA has not"] * bool(foreign)
        raise _misfit(model, f"the weights {' and '.join(problems)}")
    return prefix


def _is_left_out(name: str, prefix: str) -> bool:
    bare = name.removeprefix(prefix)
    return bare in _OTHER_TENSORS or bare.startswith(_OTHER_PARTS) or name.startswith(_HEADS)


def _some(names: set[str]) -> str:
    shown = ", ".join(map(brief, sorted(names)[:_SHOWN]))
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown


def _misfit(model: FlavaModel, what: str) -> ExpclipError:
    files = ", ".join(model.weights) or INDEX
    return ExpclipError(
        f"{model.where}: {files} does not hold the weights of this FLAVA: {what}. A FlavaModel or a "
        f"FlavaForPreTraining is expected, and a config.json of the same model"
    )
