"""Load a checkpoint's tensors into a module that was built without storage, on torch's meta device."""

import re
from collections import defaultdict
from collections.abc import Iterable

from torch import nn

from ..errors import ExpclipError, option
from .checkpoint import Checkpoint


def needed(module: nn.Module, checkpoint: Checkpoint) -> dict[str, tuple[str, ...]]:
    """The tensors of a checkpoint that a module takes, each with its names in the module: several where it is shared.

    Raises ExpclipError where the checkpoint lacks one, or has more layers than the module.
    """
    available = checkpoint.tensors()
    sharing: dict[int, list[str]] = defaultdict(list)
    for name, parameter in module.state_dict(keep_vars=True).items():
        sharing[id(parameter)].append(name)
    found, lacking = {}, []
    for names in sharing.values():
        source = next((name for name in names if name in available), None)
        if source is None:
            lacking.append(names[0])
        else:
            found[source] = tuple(names)
    if lacking:
        raise _misfit(checkpoint, f"the weights lack {_some(lacking)}")
    surplus = _surplus(available, {name for names in sharing.values() for name in names})
    if surplus:
        raise _misfit(checkpoint, f"the configuration has no place for {_some(surplus)}")
    return found


def fill(module: nn.Module, checkpoint: Checkpoint, device: str) -> None:
    """Give a module its tensors, each in the dtype that the module has for it, and set it to evaluation.

    Tensors are read, cast and moved one by one, so that nothing is held twice. On a CPU a tensor that is stored in
    the wanted dtype stays a view of its file. Raises ExpclipError where the weights do not fit the module.
    """
    takers = needed(module, checkpoint)
    empty = module.state_dict()
    state = {}
    for source, tensor in checkpoint.read(takers):
        like = empty[takers[source][0]]
        if tensor.shape != like.shape:
            sizes = f"{tuple(tensor.shape)} in the weights and {tuple(like.shape)} by the configuration"
            raise _misfit(checkpoint, f"{source} is {sizes}")
        if not tensor.is_floating_point():
            raise _misfit(checkpoint, f"{source} holds {tensor.dtype}: quantised weights are not supported")
        state |= dict.fromkeys(takers[source], tensor.to(device, like.dtype))
    module.load_state_dict(state, assign=True)
    module.eval().requires_grad_(False)


def _surplus(available: Iterable[str], known: set[str]) -> list[str]:
    """Tensors that belong to what the module has, but have no place in it: further layers, or missing biases."""
    kinds = {_kind(name) for name in known}
    layers = {name for name in available if _kind(name) in kinds}
    biases = {name for name in available if name.endswith(".bias") and f"{name.removesuffix('bias')}weight" in known}
    return sorted((layers | biases) - known)


def _kind(name: str) -> str:
    """A tensor's name without the number of its layer."""
    return re.sub(r"\.\d+\.", ".N.", name)


def _some(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _misfit(checkpoint: Checkpoint, what: str) -> ExpclipError:
    advice = "The weights and config.json must be complete, and of the same model"
    return ExpclipError(f"{option('teacher')} {checkpoint.place}: {what}. {advice}")
