"""Which CLIP is meant: architecture, weights, preprocessing and tokenizer of a name, found without building it."""

import difflib
import os
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import open_clip

from ..errors import ExpclipError, UsageError
from .checkpoint import Checkpoint
from .hashes import Hashes
from .names import LOCAL_DIR, RANDOM, ClipName

RANDOM_SEED = 0
FOLDER_CONFIG = "open_clip_config.json"
FOLDER_WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "model.safetensors",
)
"""In the order in which they are preferred."""
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "sentencepiece.bpe.model",
    "spiece.model",
)


@dataclass(frozen=True)
class Weights:
    """A file of weights; `sha256` tells what they are, wherever they lie."""

    checkpoint: Checkpoint
    file: str
    sha256: str


@dataclass(frozen=True)
class ClipModel:
    """A CLIP that was found: how open_clip is to build it, and what its values depend on."""

    name: str
    build_as: str
    """What open_clip calls it: an architecture or `local-dir:FOLDER`."""
    weights: Weights | None
    """None for random weights."""
    config: dict[str, Any]
    """open_clip's model configuration."""
    preprocess: dict[str, Any]
    """open_clip's resolved preprocessing of this model."""
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

    @property
    def origin(self) -> dict[str, Any]:
        """What the weights are: the SHA-256 of their file, or how random ones are drawn."""
        if self.weights:
            return {"sha256": self.weights.sha256}
        return {"random_seed": RANDOM_SEED, "open_clip": version("open_clip_torch"), "torch": version("torch")}


def find_clip(name: ClipName, hashes: Hashes) -> ClipModel:
    """Resolve a name to configuration and weights without building the model.

    A file of weights comes without preprocessing: OpenAI's constants are taken. Raises UsageError for an unknown
    architecture, tag or file and for a tag that needs another activation, and ExpclipError where the weights cannot
    be had.
    """
    if not name.architecture:
        return _from_folder(Path(name.weights).expanduser().absolute(), name.canonical, hashes)
    config = open_clip.get_model_config(name.architecture) if name.architecture in open_clip.list_models() else None
    if config is None:
        close = difflib.get_close_matches(name.architecture, open_clip.list_models(), n=3)
        raise UsageError(
            f"--clip {name.architecture}: open_clip knows no such architecture"
            + (f"; close are {', '.join(close)}" if close else "")
        )
    tag: dict[str, Any] = {}
    weights = None
    if name.weights != RANDOM:
        tag = open_clip.get_pretrained_cfg(name.architecture, name.weights)
        weights = _weights_of_tag(name, tag, config, hashes) if tag else _weights_in_file(name, hashes)
    return ClipModel(
        name=name.canonical,
        build_as=name.architecture,
        weights=weights,
        config=config,
        preprocess=_preprocessing(tag),
        tokenizer={"open_clip": config["text_cfg"].get("hf_tokenizer_name", "simple")},
        untrained=weights is None,
    )


def _preprocessing(known: dict[str, Any]) -> dict[str, Any]:
    """open_clip's defaults with what is known of a model, as its factory merges them."""
    default = asdict(open_clip.transform.PreprocessCfg())
    return dict(open_clip.transform.merge_preprocess_dict(default, known))


def _weights_of_tag(name: ClipName, tag: dict[str, Any], config: dict[str, Any], hashes: Hashes) -> Weights:
    if tag.get("quick_gelu") and not config.get("quick_gelu"):
        raise UsageError(
            f"--clip {name.architecture}@{name.weights}: these weights were trained with another GELU; "
            f"write {name.architecture}-quickgelu@{name.weights}"
        )
    checkpoint, wanted = hub_weights(name, tag)
    return _weights(checkpoint, checkpoint.first(wanted) or wanted[-1], hashes)


def hub_weights(name: ClipName, tag: dict[str, Any]) -> tuple[Checkpoint, tuple[str, ...]]:
    """The repository of a tag, and the files of which any holds the weights. Raises ExpclipError if it has none."""
    repository, file = os.path.split(tag.get("hf_hub", ""))
    if not repository:
        raise ExpclipError(
            f"--clip {name.architecture}@{name.weights}: these weights are not on the hub; download "
            f"{tag.get('url')} and write {name.architecture}@FILE"
        )
    wanted = (f"{Path(file).stem}.safetensors", file) if file else FOLDER_WEIGHTS
    return Checkpoint(repository, is_local=False), wanted


def _weights_in_file(name: ClipName, hashes: Hashes) -> Weights:
    path = Path(name.weights).expanduser().absolute()
    if not path.is_file():
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(name.architecture)) or "(it has none)"
        what = f"there is no file {path}" if name.is_file else "this is no file and no tag that open_clip knows"
        raise UsageError(
            f"--clip {name.architecture}@{name.weights}: {what}; write a file, `random` or one of the tags {tags}"
        )
    return _weights(Checkpoint(str(path.parent), is_local=True), path.name, hashes)


def _weights(checkpoint: Checkpoint, file: str, hashes: Hashes) -> Weights:
    return Weights(checkpoint, file, checkpoint.sha256(file, hashes))


def _from_folder(folder: Path, canonical: str, hashes: Hashes) -> ClipModel:
    checkpoint = Checkpoint(str(folder), is_local=True)
    content = checkpoint.json(FOLDER_CONFIG)
    config = content.get("model_cfg")
    if not isinstance(config, dict) or not {"embed_dim", "vision_cfg", "text_cfg"} <= config.keys():
        raise UsageError(f"--clip {LOCAL_DIR}{folder}: {FOLDER_CONFIG} has no open_clip `model_cfg`")
    file = checkpoint.first(FOLDER_WEIGHTS)
    if file is None:
        raise UsageError(f"--clip {LOCAL_DIR}{folder}: the folder has none of {', '.join(FOLDER_WEIGHTS)}")
    tokenizer = {
        name: checkpoint.sha256(name, hashes) for name in TOKENIZER_FILES if checkpoint.first((name,)) is not None
    }
    return ClipModel(
        name=canonical,
        build_as=f"{LOCAL_DIR}{folder}",
        weights=_weights(checkpoint, file, hashes),
        config=config,
        preprocess=_preprocessing(content.get("preprocess_cfg", {})),
        tokenizer=tokenizer if config["text_cfg"].get("hf_tokenizer_name") else {"open_clip": "simple"},
        untrained=False,
    )
