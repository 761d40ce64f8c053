"""What is in EmotionCLIP's file, as it is published and as it is converted.

Source: Zhang, Pan and Wang, CVPR 2023, and its released code.
"""

from typing import TYPE_CHECKING

from ...errors import brief
from ..clip_files.layout import HEAD, Layout, Shapes, count, described, linear, norm

if TYPE_CHECKING:
    import torch

FRAMES, LAYERS, HEADS = 8, 6, 8
_MLP = 4
"""Width of the hidden layers, as a multiple of L."""
_BACKBONE, _FUSION, _SCALE = "backbone.", "visual_head.fusion_layer.", "logit_scale"
_POSITIONS = "visual_head.frame_position_embedding.weight"


def _head(shapes: Shapes, width: int) -> dict[str, tuple[int, ...]]:
    if width % HEADS:
        raise ValueError(f"its embeddings have {width} numbers, which {HEADS} heads do not share")
    hidden = (shapes.get("layers.0.linear1.weight") or (_MLP * width,))[0]
    one = {
        "self_attn.in_proj_weight": (3 * width, width),
        "self_attn.in_proj_bias": (3 * width,),
        **linear("self_attn.out_proj", width, width),
        **linear("linear1", width, hidden),
        **linear("linear2", hidden, width),
        **norm("norm1", width),
        **norm("norm2", width),
    }
    layers = {
        f"layers.{k}.{name}": shape for k in range(count(shapes, "layers.") or LAYERS) for name, shape in one.items()
    }
    return {"positions": (FRAMES, width), **layers, **norm("norm", width)}


LAYOUT = Layout("emotionclip", quick_gelu=False, head=_head)


def own_form(tensors: "dict[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
    """Published tensors by our names. Raises ValueError where they are not exactly EmotionCLIP's."""
    named = {_own(name): name for name in tensors if name != _SCALE}
    scales = [tensors[name].float() for name in (_SCALE, _BACKBONE + _SCALE) if name in tensors]
    if len(scales) == 2 and not scales[0].equal(scales[1]):
        raise ValueError(f"{_SCALE} and {_BACKBONE}{_SCALE} are two numbers, and one in a sound file")
    shapes = {own: tuple(tensors[name].shape) for own, name in named.items()}
    described(shapes, LAYOUT, lambda own: named.get(own) or _published(own))
    return {own: tensors[name] for own, name in named.items()}


def _own(name: str) -> str:
    if name == _POSITIONS:
        return f"{HEAD}positions"
    for before, ours in ((_FUSION, HEAD), (_BACKBONE, "")):
        if name.startswith(before):
            return ours + name.removeprefix(before)
    raise ValueError(f"it has too {brief(name)}")


def _published(own: str) -> str:
    if own == f"{HEAD}positions":
        return _POSITIONS
    return f"{_FUSION}{own.removeprefix(HEAD)}" if own.startswith(HEAD) else f"{_BACKBONE}{own}"
