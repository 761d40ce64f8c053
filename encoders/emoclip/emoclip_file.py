"""What is in EmoCLIP's files, as they are published and as they are converted.

The released class crosses two of its arguments: the heads of its attention are 2048 wide, and its hidden layers 512.
Source: Foteinopoulou and Patras, FG 2024, and the released code.
"""

import re
from typing import TYPE_CHECKING

from ...errors import brief
from ..clip_files.layout import HEAD, Layout, Shapes, count, described, linear, norm

if TYPE_CHECKING:
    import torch

POSITIONS = 1024
"""One of them is the class token's."""
LAYERS, HEADS, HEAD_WIDTH, MLP = 2, 8, 2048, 512
_BACKBONE, _VISUAL, _SCALE = "backbone.", "visual.", "logit_scale"
_PARTS = {
    "0.fn.norm": "norm1",
    "0.fn.fn.to_qkv": "qkv",
    "0.fn.fn.to_out.0": "out",
    "1.fn.norm": "norm2",
    "1.fn.fn.net.0": "up",
    "1.fn.fn.net.3": "down",
}
"""Of a block: what the published file calls them, and what `heads/temporal.py` does."""
_TOKENS = {"temporal.cls_token": f"{HEAD}class_token", "temporal.pos_embedding": f"{HEAD}positions"}
"""They have one or two more dimensions of one in the published file."""


def _head(shapes: Shapes, width: int) -> dict[str, tuple[int, ...]]:
    inner = (shapes.get("0.qkv.weight") or (3 * HEADS * HEAD_WIDTH,))[0] // 3
    hidden = (shapes.get("0.up.weight") or (MLP,))[0]
    if inner % HEADS:
        raise ValueError(f"its attention has {inner} numbers, which {HEADS} heads do not share")
    one = {
        **norm("norm1", width),
        "qkv.weight": (3 * inner, width),
        **linear("out", inner, width),
        **norm("norm2", width),
        **linear("up", width, hidden),
        **linear("down", hidden, width),
    }
    layers = {f"{k}.{name}": shape for k in range(count(shapes, "") or LAYERS) for name, shape in one.items()}
    return {"class_token": (width,), "positions": (POSITIONS, width), **layers}


LAYOUT = Layout("emoclip", quick_gelu=True, head=_head, needs_text=False)


def own_form(tensors: "dict[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
    """Published tensors by our names, of the whole model or of its downstream task without the text tower.

    Raises ValueError where they are not exactly EmoCLIP's.
    """
    is_whole = any(name.startswith(_BACKBONE + _VISUAL) for name in tensors)
    before = "" if is_whole else _VISUAL
    other = _BACKBONE + _SCALE if _SCALE in tensors else ""  # the whole model has one of its own beside CLIP's
    named = {_own(name, before): name for name in tensors if name != other}
    found = {ours: _flat(ours, tensors[name]) for ours, name in named.items()}
    shapes = {ours: tuple(tensor.shape) for ours, tensor in found.items()}
    described(shapes, LAYOUT, lambda ours: named.get(ours) or _published(ours, before))
    return found


def _flat(own: str, tensor: "torch.Tensor") -> "torch.Tensor":
    """A token or the positions without their first dimensions of one."""
    for _ in range({f"{HEAD}class_token": 2, f"{HEAD}positions": 1}.get(own, 0)):
        tensor = tensor[0] if tensor.ndim and len(tensor) == 1 else tensor
    return tensor


def _own(name: str, before: str) -> str:
    """Our name of a published tensor, with what stands before those of the backbone."""
    if name == _SCALE or name in _TOKENS:
        return _TOKENS.get(name, name)
    if name.startswith(_BACKBONE):
        return before + name.removeprefix(_BACKBONE)
    part = re.fullmatch(r"temporal\.temporal_transformer\.layers\.(\d+)\.(.+)\.(weight|bias)", name)
    if part is None or part[2] not in _PARTS:
        raise ValueError(f"it has too {brief(name)}")
    return f"{HEAD}{part[1]}.{_PARTS[part[2]]}.{part[3]}"


def _published(own: str, before: str) -> str:
    """What the published file calls a tensor that it lacks."""
    for theirs, ours in _TOKENS.items():
        if own == ours:
            return theirs
    if not own.startswith(HEAD):
        return _BACKBONE + own.removeprefix(before)
    layer, part, kind = own.removeprefix(HEAD).split(".")
    theirs = next(theirs for theirs, ours in _PARTS.items() if ours == part)
    return f"temporal.temporal_transformer.layers.{layer}.{theirs}.{kind}"
