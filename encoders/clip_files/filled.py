"""The towers of a model that is a file, through open_clip."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import open_clip
import torch
from torch import nn

from ...errors import ExpclipError
from ..clip.towers import TextTower as ClipTextTower
from ..configuration import in_one_line
from ..dtypes import torch_dtype
from ..node import Fetch
from ..pixels import to_planes
from ..products import faster_layers
from ..squash import MeanStd
from ..transfer import fetching
from .file_model import RANDOM_SEED, FileModel, tensors_of

See = Callable[[Any, torch.Tensor], torch.Tensor]
"""(image tower, normalised pixels (n, 3, size, size)) → embeddings (n, L)."""
_VISUAL = "visual."


def as_usual(visual: Any, planes: torch.Tensor) -> torch.Tensor:
    """As a CLIP sees."""
    return visual(planes)


class ImageTower:
    """Pixels to e_I."""

    def __init__(self, model: FileModel, dtype: str, mean_std: MeanStd | None, device: str, see: See = as_usual):
        self._visual = _filled(model, _VISUAL, dtype, device)
        self._input_dtype = torch_dtype(dtype)
        self._mean_std = mean_std
        self._device = device
        self._see = see

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        return self.begin(pixels)()

    @torch.inference_mode()
    def begin(self, pixels: np.ndarray) -> Fetch:
        planes = to_planes(pixels, self._device, self._mean_std).to(self._input_dtype)
        with faster_layers(self._device):
            return fetching(self._see(self._visual, planes))


class TextTower(ClipTextTower):
    """Texts to e_T, as CLIP's reads them."""

    def __init__(self, model: FileModel, dtype: str, device: str):
        self._model = _filled(model, "", dtype, device)
        self._tokenize = tokenizer(model)
        self._name = model.name
        self._device = device


def tokenizer(model: FileModel) -> Any:
    """CLIP's, as open_clip has it."""
    return open_clip.SimpleTokenizer(context_length=model.config["text_cfg"]["context_length"])


def _filled(model: FileModel, part: str, dtype: str, device: str) -> Any:
    """The image tower, or what is left of the CLIP without it, with the file's weights or random ones."""
    to = torch_dtype(dtype)
    with torch.random.fork_rng(devices=[]), in_one_line(ExpclipError, f"{model.where}: open_clip cannot build it"):
        torch.default_generator.manual_seed(RANDOM_SEED)
        built: Any = open_clip.CLIP(**model.config, cast_dtype=None if dtype == "float32" else to)
    wanted = built.visual
    if part != _VISUAL:
        built.visual, wanted = nn.Identity(), built
    if model.path is not None:
        with in_one_line(ExpclipError, f"{model.where}: it does not hold the weights of this model"):
            wanted.load_state_dict(_state(model, wanted.state_dict(), part), strict=True)
    if dtype != "float32":
        open_clip.convert_weights_to_lp(wanted, to)
    return wanted.to(device).eval().requires_grad_(False)


def _state(model: FileModel, empty: Mapping[str, torch.Tensor], part: str) -> dict[str, torch.Tensor]:
    assert model.path is not None
    found = tensors_of(model.path, tuple(f"{part}{name}" for name in empty))
    return {name: found[f"{part}{name}"] for name in empty}
