"""CLIP's image and text towers, through open_clip."""

import contextlib
import difflib
import logging
import os
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch

from ..errors import ExpclipError, UsageError
from .checkpoint import Checkpoint
from .hashes import Hashes
from .images import Squash
from .names import ClipName
from .node import Node
from .pixels import to_planes
from .precision import DType, torch_dtype

_RANDOM_SEED = 0
_FOLDER_CONFIG = "open_clip_config.json"
_FOLDER_WEIGHTS = "open_clip_model.safetensors"
_PRECISION = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}


@dataclass(frozen=True)
class ClipModel:
    """A CLIP that was found: how open_clip is to build it, and what its values depend on."""

    name: str
    build_as: str
    """What open_clip calls it: an architecture or `local-dir:FOLDER`."""
    pretrained: str | None
    """A tag or a file; None for a folder and for random weights."""
    config: dict[str, Any]
    """open_clip's model configuration."""
    preprocess: dict[str, Any]
    """open_clip's resolved preprocessing of this model."""
    weights: dict[str, Any]
    """SHA-256 of the weights, or the seed of random ones."""
    tokenizer: dict[str, Any]
    untrained: bool

    @property
    def width(self) -> int:
        return self.config["embed_dim"]

    @property
    def image_size(self) -> int:
        size = self.config["vision_cfg"].get("image_size", 224)
        if isinstance(size, (list, tuple)):
            if len(set(size)) != 1:
                raise UsageError(f"{self.name} takes {size} pixels; only square inputs are supported")
            size = size[0]
        return size


def find_clip(name: ClipName, hashes: Hashes) -> ClipModel:
    """Resolve a name to configuration and weights without building the model.

    Raises UsageError for an unknown architecture, tag or file and for a tag that needs another activation, and
    ExpclipError where the weights cannot be had.
    """
    if not name.architecture:
        return _from_folder(name, hashes)
    config = open_clip.get_model_config(name.architecture)
    if config is None:
        close = difflib.get_close_matches(name.architecture, open_clip.list_models(), n=3)
        raise UsageError(f"--clip: open_clip knows no {name.architecture!r}; close are {', '.join(close) or 'none'}")
    found = partial(ClipModel, name=name.canonical, build_as=name.architecture, config=config)
    tokenizer = {"open_clip": config["text_cfg"].get("hf_tokenizer_name", "simple")}
    if name.weights == "random":
        origin = {
            "random_seed": _RANDOM_SEED,
            "open_clip": version("open_clip_torch"),
            "torch": version("torch"),
        }
        default = asdict(open_clip.transform.PreprocessCfg())
        return found(pretrained=None, preprocess=default, weights=origin, tokenizer=tokenizer, untrained=True)
    if Path(name.weights).is_file():
        weights = {"sha256": hashes.sha256(Path(name.weights))}
        default = asdict(open_clip.transform.PreprocessCfg())
        return found(
            pretrained=name.weights, preprocess=default, weights=weights, tokenizer=tokenizer, untrained=False
        )
    tag = _tag(name, config)
    preprocess = open_clip.transform.merge_preprocess_dict(open_clip.transform.PreprocessCfg(), tag)
    weights = {"sha256": _tag_sha256(name, tag, hashes)}
    return found(
        pretrained=name.weights, preprocess=preprocess, weights=weights, tokenizer=tokenizer, untrained=False
    )


def _from_folder(name: ClipName, hashes: Hashes) -> ClipModel:
    folder = Path(name.weights)
    checkpoint = Checkpoint(str(folder), is_local=True)
    content = checkpoint.json(_FOLDER_CONFIG)
    if "model_cfg" not in content:
        raise UsageError(f"{folder / _FOLDER_CONFIG} has no `model_cfg`: is it open_clip's configuration?")
    preprocess = open_clip.transform.merge_preprocess_dict(
        open_clip.transform.PreprocessCfg(), content.get("preprocess_cfg", {})
    )
    tokenizer_files = [file for file in ("tokenizer.json", "vocab.txt", "merges.txt") if checkpoint.has(file)]
    return ClipModel(
        name=name.canonical,
        build_as=f"local-dir:{folder}",
        pretrained=None,
        config=content["model_cfg"],
        preprocess=preprocess,
        weights={"sha256": checkpoint.sha256(_FOLDER_WEIGHTS, hashes)},
        tokenizer={file: checkpoint.sha256(file, hashes) for file in tokenizer_files} or {"open_clip": "simple"},
        untrained=False,
    )


def _tag(name: ClipName, config: dict[str, Any]) -> dict[str, Any]:
    tag = open_clip.get_pretrained_cfg(name.architecture, name.weights)
    if not tag:
        tags = open_clip.list_pretrained_tags_by_model(name.architecture)
        raise UsageError(
            f"--clip {name.architecture}@{name.weights}: neither a file, nor `random`, nor one of the tags "
            f"{', '.join(tags) or '(it has none)'}"
        )
    if tag.get("quick_gelu", False) != config.get("quick_gelu", False):
        other = f"{name.architecture}-quickgelu" if tag.get("quick_gelu") else name.architecture[: -len("-quickgelu")]
        raise UsageError(
            f"--clip {name.architecture}@{name.weights}: these weights were trained with the other GELU; "
            f"write {other}@{name.weights}"
        )
    return tag


def _tag_sha256(name: ClipName, tag: dict[str, Any], hashes: Hashes) -> str:
    if tag.get("hf_hub"):
        repository, file = os.path.split(tag["hf_hub"])
        checkpoint = Checkpoint(repository, is_local=False)
        if not file:
            file = next((f for f in (_FOLDER_WEIGHTS,) if checkpoint.has(f)), "open_clip_pytorch_model.bin")
        return checkpoint.sha256(file, hashes)
    try:
        return hashes.sha256(Path(open_clip.download_pretrained(tag)))
    except (OSError, RuntimeError) as error:
        raise ExpclipError(
            f"--clip {name.architecture}@{name.weights}: the weights are not here and could not be "
            f"fetched ({error}). Download them where there is a network and write {name.architecture}@FILE."
        ) from error


def image_node(model: ClipModel, protocol: str, dtype: DType) -> Node:
    """`clip_image`: image embeddings e_I (L,), not normalised."""
    squash = Squash(model.image_size, honour_orientation=protocol == "paper")
    mean_std = _mean_std(model, protocol)
    spec = {
        "node": "clip_image",
        "architecture": {key: value for key, value in model.config.items() if key != "text_cfg"},
        "weights": model.weights,
        "protocol": protocol,
        "transform": squash.spec() | {"mean_std": mean_std},
        "precision": dtype,
        "stored": "float16",
    }
    return Node(
        name="clip_image",
        model=model.name,
        spec=spec,
        row_shape=(model.width,),
        input="pixels",
        load=partial(ImageTower, model, dtype, mean_std),
        untrained=model.untrained,
        protocol=protocol,
        squash=squash,
    )


def text_node(model: ClipModel, dtype: DType) -> Node:
    """`clip_text`: text embeddings e_T (L,), not normalised."""
    spec = {
        "node": "clip_text",
        "architecture": {key: value for key, value in model.config.items() if key != "vision_cfg"},
        "weights": model.weights,
        "tokenizer": model.tokenizer,
        "precision": dtype,
        "stored": "float16",
    }
    return Node(
        name="clip_text",
        model=model.name,
        spec=spec,
        row_shape=(model.width,),
        input="text",
        load=partial(TextTower, model, dtype),
        untrained=model.untrained,
    )


def _mean_std(model: ClipModel, protocol: str) -> tuple[list[float], list[float]] | None:
    """The paper's protocol normalises as the model was trained; the released code does not normalise at all."""
    if protocol == "released":
        return None
    return list(model.preprocess["mean"]), list(model.preprocess["std"])


class ImageTower:
    """Pixels to e_I."""

    def __init__(self, model: ClipModel, dtype: DType, mean_std: tuple[list[float], list[float]] | None, device: str):
        self._model = _build(model.build_as, model.pretrained, dtype, device)
        self._input_dtype = torch_dtype(dtype)
        self._mean_std = mean_std
        self._device = device

    @torch.inference_mode()
    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        planes = to_planes(pixels, self._device, self._mean_std)
        return self._model.encode_image(planes.to(self._input_dtype)).float().cpu().numpy()


class TextTower:
    """Texts to e_T."""

    def __init__(self, model: ClipModel, dtype: DType, device: str):
        self._model = _build(model.build_as, model.pretrained, dtype, device)
        self._tokenize = open_clip.get_tokenizer(model.build_as)
        self._device = device

    @torch.inference_mode()
    def __call__(self, texts: list[str]) -> np.ndarray:
        return self._model.encode_text(self._tokenize(texts).to(self._device)).float().cpu().numpy()


@lru_cache(maxsize=4)
def _build(build_as: str, pretrained: str | None, dtype: DType, device: str) -> Any:
    """One model a process for both towers."""
    is_random = pretrained is None and not build_as.startswith("local-dir:")
    with torch.random.fork_rng(devices=[]), _quiet_open_clip():
        torch.manual_seed(_RANDOM_SEED)
        try:
            model = open_clip.create_model(
                build_as,
                pretrained=pretrained,
                precision=_PRECISION[dtype],
                device=device,
                require_pretrained=not is_random,
                load_weights=not is_random,
            )
        except Exception as error:
            raise ExpclipError(_why_not_built(build_as, pretrained, error)) from error
    return model.eval()


def _why_not_built(build_as: str, pretrained: str | None, error: Exception) -> str:
    what = f"{build_as}@{pretrained}" if pretrained else build_as
    if "TorchScript" in str(error) or "weights_only" in str(error).lower():
        return (
            f"--clip {what}: the file is TorchScript or holds pickled objects, which are not loaded from untrusted "
            f"files. Convert it once where you trust it: torch.save(torch.jit.load(FILE).state_dict(), NEW_FILE)."
        )
    reason = str(error).strip().splitlines()
    return f"--clip {what}: open_clip cannot load it ({reason[0] if reason else type(error).__name__})"


@contextlib.contextmanager
def _quiet_open_clip():
    """open_clip reports every step, and random weights as a warning, on the root logger."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        root.setLevel(level)
