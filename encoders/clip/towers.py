"""CLIP's image and text towers, through open_clip."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch

from ...cache.keys import digest
from ...errors import ExpclipError, option, reason
from ..dtypes import torch_dtype
from ..families import How
from ..images import MeanStd
from ..node import Node, Reading
from ..pixels import to_planes
from .found import RANDOM_SEED, ClipModel, Weights

_PRECISION = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}


def image_node(model: ClipModel, how: How) -> Node:
    """`clip_image`: image embeddings e_I (L,), not normalised."""
    dtype, shape = how.dtypes.tower, (model.config["embed_dim"],)
    squash = how.squash(model.image_size, model.preprocess["mean"], model.preprocess["std"])
    encoder = {"architecture": model.config, "weights": model.origin}
    load = partial(ImageTower, model, dtype, squash.mean_std)
    return how.node("clip_image", model.name, encoder, dtype, shape, load, squash, untrained=model.untrained)


def text_node(model: ClipModel, how: How) -> Node:
    """`clip_text`: text embeddings e_T (L,), not normalised."""
    dtype, shape = how.dtypes.tower, (model.config["embed_dim"],)
    encoder = {"architecture": model.config, "weights": model.origin, "tokenizer": model.tokenizer}
    load, known = partial(TextTower, model, dtype), {"untrained": model.untrained, "reads": partial(_reads, model)}
    return how.node("clip_text", model.name, encoder, dtype, shape, load, **known)


class ImageTower:
    """Pixels to e_I."""

    def __init__(self, model: ClipModel, dtype: str, mean_std: MeanStd | None, device: str):
        self._model = _build(model, dtype, device)
        self._input_dtype = torch_dtype(dtype)
        self._mean_std = mean_std
        self._device = device

    @torch.inference_mode()
    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        planes = to_planes(pixels, self._device, self._mean_std).to(self._input_dtype)
        return self._model.encode_image(planes, normalize=False).float().cpu().numpy()


class TextTower:
    """Texts to e_T."""

    def __init__(self, model: ClipModel, dtype: str, device: str):
        self._model = _build(model, dtype, device)
        self._tokenize = _tokenizer(model)
        self._device = device

    @torch.inference_mode()
    def __call__(self, texts: list[str]) -> np.ndarray:
        tokens = self._tokenize(texts).to(self._device)
        return self._model.encode_text(tokens, normalize=False).float().cpu().numpy()


def _tokenizer(model: ClipModel) -> Any:
    try:
        with _quiet_open_clip():
            return open_clip.get_tokenizer(model.build_as)
    except Exception as error:
        why = f"open_clip finds no tokenizer for it ({reason(error)})"
        raise ExpclipError(f"{option('clip')} {model.build_as}: {why}") from error


def _reads(model: ClipModel, texts: Sequence[str]) -> list[Reading]:
    """What CLIP reads of texts. One is cut where a context that is longer by a token would change what is read."""
    tokenize = _tokenizer(model)
    read, longer = (tokenize(list(texts), tokenize.context_length + more).numpy() for more in (0, 1))
    ends_with_class_token = getattr(tokenize, "tokenizer_mode", "") == "clips"
    kept = read.shape[1] - ends_with_class_token
    is_cut = (read[:, :kept] != longer[:, :kept]).any(axis=1)
    return [Reading(tuple(tokens), cut) for tokens, cut in zip(read.tolist(), is_cut.tolist(), strict=True)]


def _build(model: ClipModel, dtype: str, device: str) -> Any:
    """One model per process for both towers."""
    return _built(model.build_as, digest(model.config), model.weights, dtype, device)


@lru_cache(maxsize=1)
def _built(build_as: str, config: str, weights: Weights | None, dtype: str, device: str) -> Any:
    """`config` only tells a folder from the same folder with another configuration."""
    path = weights.checkpoint.file(weights.file) if weights else None
    with _quiet_open_clip(), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(RANDOM_SEED)
        try:
            model = open_clip.create_model(
                build_as, load_weights=False, pretrained_text=False, precision=_PRECISION[dtype], device=device
            )
        except Exception as error:  # open_clip checks little: what a wrong configuration raises depends on where
            raise ExpclipError(f"{option('clip')} {build_as}: open_clip cannot build it ({reason(error)})") from error
        try:
            if path is not None:
                open_clip.load_checkpoint(model, str(path), strict=True, weights_only=True)  # pyright: ignore[reportArgumentType]
        except Exception as error:
            raise ExpclipError(f"{option('clip')} {build_as}: {path} {_why_not_loaded(error)}") from error
    return model.eval().requires_grad_(False)


def _why_not_loaded(error: Exception) -> str:
    if "TorchScript" in str(error):
        return (
            "is TorchScript, which is a program and is not run. If you trust it, convert it once: "
            "weights = torch.jit.load(FILE).state_dict(); torch.save({k: v for k, v in weights.items() "
            'if v.ndim or k == "logit_scale"}, NEW_FILE)'
        )
    if "weights_only" in str(error).lower():
        return (
            "holds pickled Python objects besides tensors, which are not loaded: they may run any program. If you "
            "trust it, save its state dict alone, as safetensors or with torch.save"
        )
    return f"does not hold the weights of this model ({reason(error)})"


@contextmanager
def _quiet_open_clip() -> Iterator[None]:
    """Drop what open_clip logs on the root logger: every step, and a warning about random weights.

    A root logger without a handler would be given one by `logging.info`, which stays and prints.
    """
    root = logging.getLogger()
    handler = logging.NullHandler()
    root.addHandler(handler)
    root.addFilter(_not_open_clip)
    try:
        yield
    finally:
        root.removeFilter(_not_open_clip)
        root.removeHandler(handler)


def _not_open_clip(record: logging.LogRecord) -> bool:
    return Path(record.pathname).parent != Path(open_clip.__file__).parent
