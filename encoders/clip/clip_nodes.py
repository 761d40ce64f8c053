"""CLIP's nodes. Only what they load imports torch and open_clip."""

from collections.abc import Sequence
from functools import partial

from ..families import How
from ..node import Encoder, Node, Reading
from ..squash import MeanStd
from .found import ClipModel


def image_node(model: ClipModel, how: How) -> Node:
    """`clip_image`: image embeddings e_I (L,), not normalised."""
    dtype, shape = how.dtypes.tower, (model.config["embed_dim"],)
    own, crops = model.preprocess, how.rules.resizes_as_trained and model.crops
    squash = how.squash(model.image_size, own["mean"], own["std"], model.resample, crops)
    encoder = {"architecture": model.config, "weights": model.origin}
    load = partial(_image_tower, model, dtype, squash.mean_std)
    return how.node("clip_image", model.name, encoder, dtype, shape, load, squash, untrained=model.untrained)


def text_node(model: ClipModel, how: How) -> Node:
    """`clip_text`: text embeddings e_T (L,), not normalised."""
    dtype, shape = how.dtypes.tower, (model.config["embed_dim"],)
    encoder = {"architecture": model.config, "weights": model.origin, "tokenizer": model.tokenizer}
    load, known = partial(_text_tower, model, dtype), {"untrained": model.untrained, "reads": partial(_reads, model)}
    return how.node("clip_text", model.name, encoder, dtype, shape, load, **known)


def _image_tower(model: ClipModel, dtype: str, mean_std: MeanStd | None, device: str) -> Encoder:
    from .towers import ImageTower

    return ImageTower(model, dtype, mean_std, device)


def _text_tower(model: ClipModel, dtype: str, device: str) -> Encoder:
    from .towers import TextTower

    return TextTower(model, dtype, device)


def _reads(model: ClipModel, texts: Sequence[str]) -> list[Reading]:
    from .towers import reads

    return reads(model, texts)
