"""FLAVA's image and text towers, through transformers."""

from collections import defaultdict
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from torch import nn
from transformers import FlavaImageConfig, FlavaImageModel, FlavaTextConfig, FlavaTextModel

from ...cache.keys import digest
from ...errors import ExpclipError
from ..configuration import in_one_line
from ..dtypes import torch_dtype
from ..node import Fetch
from ..pixels import to_planes
from ..products import faster_layers
from ..squash import MeanStd
from ..transfer import fetching
from .flava_model import RANDOM_SEED, FlavaModel
from .flava_tokens import read_texts
from .flava_weights import fill


class Parts(nn.Module):
    """Both towers and their projections, named as in a checkpoint, without its poolers and its mask token."""

    def __init__(self, model: FlavaModel):
        super().__init__()
        image, text = FlavaImageConfig(**model.image, mask_token=False), FlavaTextConfig(**model.text)
        self.image_model = FlavaImageModel(image, add_pooling_layer=False)
        self.text_model = FlavaTextModel(text, add_pooling_layer=False)
        self.image_projection = nn.Linear(image.hidden_size, model.embed_dim)
        self.text_projection = nn.Linear(text.hidden_size, model.embed_dim)


class ImageTower:
    """Pixels to e_I: the projection of the first token."""

    def __init__(self, model: FlavaModel, dtype: str, mean_std: MeanStd | None, device: str):
        self._parts = _parts(model, dtype, device)
        self._input_dtype = torch_dtype(dtype)
        self._mean_std = mean_std
        self._device = device

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        return self.begin(pixels)()

    @torch.inference_mode()
    def begin(self, pixels: np.ndarray) -> Fetch:
        planes = to_planes(pixels, self._device, self._mean_std).to(self._input_dtype)
        with faster_layers(self._device):
            seen = self._parts.image_model(pixel_values=planes).last_hidden_state[:, 0]
            return fetching(self._parts.image_projection(seen))


class TextTower:
    """Texts to e_T: the projection of the first token."""

    def __init__(self, model: FlavaModel, dtype: str, device: str):
        self._parts = _parts(model, dtype, device)
        self._model = model
        self._device = device

    @torch.inference_mode()
    def __call__(self, texts: list[str]) -> np.ndarray:
        rows: dict[int, list[int]] = defaultdict(list)
        tokens = [reading.tokens for reading in read_texts(self._model, texts)]
        for row, one in enumerate(tokens):
            rows[len(one)].append(row)
        found = np.empty((len(texts), self._model.embed_dim), dtype=np.float32)
        for some in rows.values():  # texts of one length go together: it looks both ways, so padding would matter
            found[some] = self._encode(torch.tensor([tokens[row] for row in some], device=self._device))
        return found

    def _encode(self, ids: torch.Tensor) -> np.ndarray:
        places = torch.arange(ids.shape[1], device=self._device)[None]  # the module's own have no storage
        with faster_layers(self._device):
            read = self._parts.text_model(ids, token_type_ids=torch.zeros_like(ids), position_ids=places)
            return self._parts.text_projection(read.last_hidden_state[:, 0]).float().cpu().numpy()


@dataclass(frozen=True)
class _Wanted:
    """What is built; other weights or another configuration are another."""

    model: FlavaModel = field(compare=False)
    described: str
    dtype: str
    device: str


def _parts(model: FlavaModel, dtype: str, device: str) -> Parts:
    """One model per process for both towers."""
    return _built(_Wanted(model, digest([model.architecture, model.origin]), dtype, device))


@lru_cache(maxsize=1)
def _built(wanted: _Wanted) -> Parts:
    model, dtype = wanted.model, torch_dtype(wanted.dtype)
    # what the library raises over a wrong configuration depends on where
    with in_one_line(ExpclipError, f"{model.where}: transformers cannot build it"):
        if model.checkpoint is None:
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(RANDOM_SEED)
                return Parts(model).to(wanted.device, dtype).eval().requires_grad_(False)
        with torch.device("meta"):
            parts = Parts(model).to(dtype)
    fill(parts, model, wanted.device)
    return parts
