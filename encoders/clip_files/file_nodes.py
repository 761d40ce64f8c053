"""The nodes of a model that is a file. Only what they load imports torch and open_clip."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ..families import How
from ..node import Encoder, Node, Reading
from ..squash import MeanStd, Squash
from .file_model import FileModel

if TYPE_CHECKING:
    from .filled import See


def image_node(model: FileModel, how: How, squash: Squash, see: "See | None" = None, **more: Any) -> Node:
    """`clip_image`: image embeddings e_I (L,), not normalised.

    `see` is how its tower sees, if not as usual; `more` is what its spec says besides.
    """
    dtype, shape = how.dtypes.tower, (model.config["embed_dim"],)
    encoder = {"architecture": model.architecture, "weights": model.origin, **more}
    load = partial(_image_tower, model, dtype, squash.mean_std, see)
    return how.node("clip_image", model.name, encoder, dtype, shape, load, squash, untrained=model.untrained)


def text_node(model: FileModel, how: How) -> Node:
    """`clip_text`: text embeddings e_T (L,) of its own text tower, not normalised."""
    dtype, shape = how.dtypes.tower, (model.config["embed_dim"],)
    encoder = {"architecture": model.architecture, "weights": model.origin, "tokenizer": {"open_clip": "simple"}}
    known = {"untrained": model.untrained, "reads": partial(_reads, model)}
    return how.node("clip_text", model.name, encoder, dtype, shape, partial(_text_tower, model, dtype), **known)


def _image_tower(model: FileModel, dtype: str, mean_std: MeanStd | None, see: "See | None", device: str) -> Encoder:
    from .filled import ImageTower, as_usual

    return ImageTower(model, dtype, mean_std, device, see or as_usual)


def _text_tower(model: FileModel, dtype: str, device: str) -> Encoder:
    from .filled import TextTower

    return TextTower(model, dtype, device)


def _reads(model: FileModel, texts: Sequence[str]) -> list[Reading]:
    from ..clip.towers import readings
    from .filled import tokenizer

    return readings(tokenizer(model), texts)
