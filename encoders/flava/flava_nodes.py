"""FLAVA's nodes. Only what they load imports torch and transformers."""

from collections.abc import Sequence
from functools import partial

from ..families import How
from ..node import Encoder, Node, Reading
from ..squash import MeanStd
from .flava_model import FlavaModel


def image_node(model: FlavaModel, how: How) -> Node:
    """`clip_image`: image embeddings e_I (L,), not normalised."""
    dtype, squash = how.dtypes.tower, how.squash(model.image["image_size"], model.mean, model.std, model.resample)
    encoder = {"architecture": model.architecture, "weights": model.origin}
    load, untrained = partial(_image_tower, model, dtype, squash.mean_std), model.checkpoint is None
    return how.node("clip_image", model.name, encoder, dtype, (model.embed_dim,), load, squash, untrained=untrained)


def text_node(model: FlavaModel, how: How) -> Node:
    """`clip_text`: text embeddings e_T (L,), not normalised."""
    dtype = how.dtypes.tower
    encoder = {"architecture": model.architecture, "weights": model.origin, "tokenizer": model.tokenizer or "letters"}
    load = partial(_text_tower, model, dtype)
    known = {"untrained": model.checkpoint is None, "reads": partial(_reads, model)}
    return how.node("clip_text", model.name, encoder, dtype, (model.embed_dim,), load, **known)


def _image_tower(model: FlavaModel, dtype: str, mean_std: MeanStd | None, device: str) -> Encoder:
    from .flava_towers import ImageTower

    return ImageTower(model, dtype, mean_std, device)


def _text_tower(model: FlavaModel, dtype: str, device: str) -> Encoder:
    from .flava_towers import TextTower

    return TextTower(model, dtype, device)


def _reads(model: FlavaModel, texts: Sequence[str]) -> list[Reading]:
    from .flava_tokens import read_texts

    return read_texts(model, texts)
