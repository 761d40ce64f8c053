"""EmotionCLIP's node of images. Only what it loads imports torch and open_clip."""

from functools import partial
from typing import TYPE_CHECKING, Any

from ..clip_files import file_nodes
from ..clip_files.file_model import FileModel
from ..families import How
from ..node import Node
from ..squash import BICUBIC

if TYPE_CHECKING:
    import torch

_MEAN, _STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
"""ImageNet's, though its backbone began as a CLIP."""
_SHORTER = 256 / 224
"""What the shorter side becomes, as a multiple of the crop."""
MASKS = {"ones": 1.0, "zeros": 0.0}
"""How much of every patch is a person, by what specs call it: on a crop of a face all of it."""


def image_node(model: FileModel, how: How, mask: str = "ones") -> Node:
    """`clip_image`: image embeddings e_I (L,) under a mask of MASKS, not normalised."""
    size = model.config["vision_cfg"]["image_size"]
    squash = how.squash(size, _MEAN, _STD, BICUBIC, crops=True, shorter=round(size * _SHORTER))
    return file_nodes.image_node(model, how, squash, partial(_see, MASKS[mask]), mask=mask)


def _see(share: float, visual: Any, planes: "torch.Tensor") -> "torch.Tensor":
    from .person_token import see

    return see(visual, planes, share)
