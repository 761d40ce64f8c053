"""CLIP's image and text towers, through open_clip."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch

from ...cache.keys import digest
from ...errors import ExpclipError, option
from .. import hub
from ..configuration import in_one_line
from ..dtypes import torch_dtype
from ..node import Fetch, Reading
from ..pixels import to_planes
from ..products import faster_layers
from ..squash import MeanStd
from ..state_dict import require_loadable
from ..transfer import fetching
from .checked_folder import checked_folder
from .found import RANDOM_SEED, ClipModel, Weights
from .prompt_tower import PromptTower

_NO_TOKENIZER = "open_clip finds no tokenizer for it"
_PRECISION = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}


class ImageTower:
    """Pixels to e_I."""

    def __init__(self, model: ClipModel, dtype: str, mean_std: MeanStd | None, device: str):
        self._model = _build(model, dtype, device)
        self._input_dtype = torch_dtype(dtype)
        self._mean_std = mean_std
        self._device = device
        _try(model, self, np.zeros((1, model.image_size, model.image_size, 3), dtype=np.uint8))

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        return self.begin(pixels)()

    @torch.inference_mode()
    def begin(self, pixels: np.ndarray) -> Fetch:
        planes = to_planes(pixels, self._device, self._mean_std).to(self._input_dtype)
        with faster_layers(self._device):
            return fetching(self._model.encode_image(planes, normalize=False))


class TextTower:
    """Texts to e_T."""

    def __init__(self, model: ClipModel, dtype: str, device: str):
        self._model = _build(model, dtype, device)
        self._tokenize = _tokenizer(model)
        self._name = model.name
        self._device = device
        _try(model, self, ["a face"])

    def for_prompts(self) -> PromptTower:
        """The same tower, for prompts that are learnt. Raises UsageError for one of another kind."""
        return PromptTower(self._name, self._model, self._tokenize, self._device)

    @torch.inference_mode()
    def __call__(self, texts: list[str]) -> np.ndarray:
        tokens = self._tokenize(texts).to(self._device)
        with faster_layers(self._device):
            return self._model.encode_text(tokens, normalize=False).float().cpu().numpy()


def _tokenizer(model: ClipModel) -> Any:
    """open_clip's tokenizer; no code that comes with one is run, and transformers fetches none."""
    safe: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True} if model.tokenizer_at else {}
    with _calling_open_clip(model), in_one_line(ExpclipError, f"{option('clip')} {model.build_as}: {_NO_TOKENIZER}"):
        if not model.tokenizer_at and not model.has_own_configuration:
            return open_clip.get_tokenizer(model.build_as)
        with checked_folder(model, tokenizer=True) as folder:
            return open_clip.get_tokenizer(folder, **safe)


def reads(model: ClipModel, texts: Sequence[str]) -> list[Reading]:
    """What CLIP reads of texts. One is cut where a context that is longer by a token would change what is read."""
    tokenize = _tokenizer(model)
    with in_one_line(ExpclipError, f"{option('clip')} {model.build_as}: {_NO_TOKENIZER}"):
        return readings(tokenize, texts)


def readings(tokenize: Any, texts: Sequence[str]) -> list[Reading]:
    """What a tokenizer of open_clip reads of texts."""
    read, longer = (tokenize(list(texts), tokenize.context_length + more).numpy() for more in (0, 1))
    ends_with_class_token = getattr(tokenize, "tokenizer_mode", "") == "clips"
    kept = read.shape[1] - ends_with_class_token
    is_cut = (read[:, :kept] != longer[:, :kept]).any(axis=1)
    return [Reading(tuple(tokens), cut) for tokens, cut in zip(read.tolist(), is_cut.tolist(), strict=True)]


def _try(model: ClipModel, tower: Any, one: Any) -> None:
    """A stranger's configuration may describe what can be built and filled, but gives no embeddings."""
    if not model.is_strangers:
        return
    with in_one_line(ExpclipError, f"{option('clip')} {model.build_as}: it is no CLIP that encodes"):
        shape = tower(one).shape
        if shape != (1, model.config["embed_dim"]):
            raise ValueError(f"it gives {shape} instead of one embedding")


@dataclass(frozen=True)
class _Wanted:
    """What is built; a folder with another configuration is another."""

    model: ClipModel = field(compare=False)
    build_as: str
    config: str
    weights: Weights | None
    dtype: str
    device: str


def _build(model: ClipModel, dtype: str, device: str) -> Any:
    """One model per process for both towers."""
    return _built(_Wanted(model, model.build_as, digest(model.config), model.weights, dtype, device))


@lru_cache(maxsize=1)
def _built(wanted: _Wanted) -> Any:
    weights, named = wanted.weights, f"{option('clip')} {wanted.build_as}"
    path = weights.checkpoint.file(weights.file) if weights else None
    with _calling_open_clip(wanted.model), torch.random.fork_rng(devices=[]), checked_folder(wanted.model) as folder:
        # open_clip checks little: what a wrong configuration raises depends on where
        with in_one_line(ExpclipError, f"{named}: open_clip cannot build it"):
            if path is not None and wanted.model.is_strangers:
                _require_fit(folder, path)
            torch.default_generator.manual_seed(RANDOM_SEED)
            how: dict[str, Any] = {"precision": _PRECISION[wanted.dtype], "device": wanted.device}
            model = open_clip.create_model(folder, load_weights=False, pretrained_text=False, **how)
        if path is not None:
            require_loadable(path)
            with in_one_line(ExpclipError, f"{named}: {path} does not hold the weights of this model"):
                open_clip.load_checkpoint(model, str(path), strict=True, weights_only=True)  # pyright: ignore[reportArgumentType]
    return model.eval().requires_grad_(False)


def _require_fit(folder: str, path: Path) -> None:
    """Built without storage, a model is no larger than its weights: a few numbers may describe terabytes."""
    with torch.device("meta"):
        empty = open_clip.create_model(folder, load_weights=False, pretrained_text=False, device="meta")
    values, size = sum(parameter.numel() for parameter in empty.parameters()), path.stat().st_size
    if values > size:
        raise ValueError(f"it would have {values:,} parameters, and {path.name} has {size:,} bytes")


@contextmanager
def _calling_open_clip(model: ClipModel) -> Iterator[None]:
    """Quietly, and of a model of this machine without the network."""
    with _quiet_open_clip(), hub.offline() if model.is_local else nullcontext():
        yield


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
