"""Which CLIP a name means: architecture, weights, preprocessing and tokenizer, found without building it."""

import difflib
import os
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import open_clip

from ...errors import ExpclipError, UsageError, option
from ..checkpoint import Checkpoint
from ..hashes import Hashes
from ..names import BUILTIN, LOCAL_DIR, RANDOM, ModelName, clip_name
from ..weights import ModelFiles
from ..weights_card import trained_with_quick_gelu
from .clip_fields import FOLDER_CONFIG, checked_model, checked_preprocessing
from .likeness import twin

RANDOM_SEED = 0
FOLDER_WEIGHTS = (
    *("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors"),
    *("open_clip_pytorch_model.bin", "model.safetensors"),
)
"""In order of preference."""
TOKENIZER_FILES = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "vocab.txt", "merges.txt", "sentencepiece.bpe.model", "spiece.model"),
)


@dataclass(frozen=True)
class Weights:
    """A file of weights; `sha256` tells what they are, wherever they are."""

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
    remarks: tuple[str, ...] = ()
    """What the user should know of it."""

    @property
    def untrained(self) -> bool:
        return self.weights is None

    @property
    def in_folder(self) -> bool:
        """Whether its configuration lies in a folder."""
        return self.build_as.startswith(LOCAL_DIR)

    @property
    def is_strangers(self) -> bool:
        """Whether its configuration may be a stranger's: it lies in a folder, and did not come with expclip."""
        return self.in_folder and Path(self.build_as.removeprefix(LOCAL_DIR)).parent not in BUILTIN.values()

    @property
    def is_local(self) -> bool:
        """Whether it is made of what is on this machine alone: then the network is not used for any part of it."""
        return self.weights is None or self.weights.checkpoint.is_local

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


def find(text: str, hashes: Hashes) -> ClipModel:
    """Resolve a name to configuration and weights without building the model.

    A file of weights says nothing about preprocessing: OpenAI's constants are taken. Raises UsageError for an unknown
    name and for a tag that needs another activation, ExpclipError where the weights cannot be had.
    """
    asked = clip_name(text)
    if not asked.architecture:
        return _in_folder(asked, hashes)
    config = open_clip.get_model_config(asked.architecture) if asked.architecture in open_clip.list_models() else None
    if config is None:
        close = difflib.get_close_matches(asked.architecture, open_clip.list_models(), n=3)
        raise UsageError(
            f"{option('clip')} {asked.architecture}: open_clip knows no such architecture"
            + (f"; the closest are {', '.join(close)}" if close else "")
        )
    tag = open_clip.get_pretrained_cfg(asked.architecture, asked.source)
    if tag.get("quick_gelu") and not config.get("quick_gelu"):
        raise UsageError(
            f"{option('clip')} {asked.architecture}@{asked.source}: these weights were trained with QuickGELU; "
            f"write {asked.architecture}-quickgelu@{asked.source}"
        )
    weights = None if asked.source == RANDOM else _weights(asked, hashes)
    remarks = _of_activation(asked, bool(config.get("quick_gelu")), weights)
    tokenizer = {"open_clip": config["text_cfg"].get("hf_tokenizer_name", "simple")}
    return ClipModel(asked.canonical, asked.architecture, weights, config, _preprocessing(tag), tokenizer, remarks)


def _of_activation(asked: ModelName, has_quick_gelu: bool, weights: Weights | None) -> tuple[str, ...]:
    """What to say of the activation of weights in a file, which itself may say which it needs.

    Raises UsageError where it says that it needs the other.
    """
    path = weights.checkpoint.here(weights.file) if weights and weights.checkpoint.is_local else None
    if path is None:
        return ()
    needs, other = trained_with_quick_gelu(path), asked.architecture and twin(asked.architecture)
    if needs is None:
        if has_quick_gelu or not other:
            return ()
        return (
            f"nothing says whether these weights were trained with QuickGELU, as OpenAI's were. They are taken to be "
            f"without: if they were trained with it, write {other}@{asked.source}, else {asked.architecture}@"
            f"{asked.source} is right",
        )
    if needs == has_quick_gelu:
        return ()
    how = f"these weights were trained {'with' if needs else 'without'} QuickGELU, says {path}"
    if not asked.architecture:
        right = f"`quick_gelu` in `model_cfg` of {FOLDER_CONFIG} must say so"
    else:
        right = f"write {other}@{asked.source}" if other else "open_clip has no such architecture"
    raise UsageError(f"{option('clip')} {asked.typed}: {how}; {right}")


def _in_folder(asked: ModelName, hashes: Hashes) -> ClipModel:
    checkpoint, _ = _source(asked)
    build_as = f"{LOCAL_DIR}{checkpoint.place}"
    content = checkpoint.json(FOLDER_CONFIG)
    config = content.get("model_cfg")
    if not isinstance(config, dict) or not {"embed_dim", "vision_cfg", "text_cfg"} <= config.keys():
        raise UsageError(f"{option('clip')} {build_as}: {FOLDER_CONFIG} has no open_clip `model_cfg`")
    where = f"{option('clip')} {build_as}"
    config = checked_model(config, where)
    preprocess = _preprocessing(checked_preprocessing(content.get("preprocess_cfg", {}), where))
    weights = _weights(asked, hashes)
    _of_activation(asked, bool(config.get("quick_gelu")), weights)
    tokenizer = {"open_clip": "simple"}
    if config["text_cfg"].get("hf_tokenizer_name"):
        tokenizer = {name: checkpoint.sha256(name, hashes) for name in TOKENIZER_FILES if checkpoint.here(name)}
    return ClipModel(asked.canonical, build_as, weights, config, preprocess, tokenizer)


def _preprocessing(known: dict[str, Any]) -> dict[str, Any]:
    """open_clip's defaults with what is known of a model, as its factory merges them."""
    default = asdict(open_clip.transform.PreprocessCfg())
    return dict(open_clip.transform.merge_preprocess_dict(default, known))


def _source(asked: ModelName) -> tuple[Checkpoint, tuple[str, ...]]:
    """Where weights are, and the names that their file may have, the best first.

    Raises ExpclipError for a tag whose weights are not on the hub.
    """
    path = Path(asked.source).expanduser().absolute()
    if not asked.architecture:
        folder = BUILTIN[asked.source] / "clip" if asked.source in BUILTIN else path
        return Checkpoint(str(folder), is_local=True), FOLDER_WEIGHTS
    tag = open_clip.get_pretrained_cfg(asked.architecture, asked.source)
    if not tag:
        return Checkpoint(str(path.parent), is_local=True), (path.name,)
    repository, file = os.path.split(tag.get("hf_hub", ""))
    if not repository:
        raise ExpclipError(
            f"{option('clip')} {asked.architecture}@{asked.source}: these weights are not on the hub; download "
            f"{tag.get('url')} and write {asked.architecture}@FILE"
        )
    names = (f"{Path(file).stem}.safetensors", file) if file else FOLDER_WEIGHTS
    return Checkpoint(repository, is_local=False), names


def _weights(asked: ModelName, hashes: Hashes) -> Weights:
    checkpoint, names = _source(asked)
    file = checkpoint.first(names) or names[-1]
    if checkpoint.is_local and not checkpoint.here(file):
        if not asked.architecture:
            place = f"{LOCAL_DIR}{checkpoint.place}"
            raise UsageError(f"{option('clip')} {place}: the folder has none of {', '.join(names)}")
        path = Path(checkpoint.place) / file
        what = f"there is no file {path}" if asked.is_path else "neither a file nor a tag that open_clip knows"
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(asked.architecture)) or "(it has none)"
        what = f"{what}; write a file, `random` or one of the tags {tags}"
        raise UsageError(f"{option('clip')} {asked.architecture}@{asked.source}: {what}")
    return Weights(checkpoint, file, checkpoint.sha256(file, hashes))


def clip_files(text: str, fetch: bool = False) -> ModelFiles:
    """The files of a CLIP, looking only at this machine unless they are to be fetched.

    Raises UsageError for an unknown name or folder, and ExpclipError where files cannot be fetched.
    """
    asked = clip_name(text)
    if asked.source == RANDOM:
        return ModelFiles(asked.canonical, None, ())
    checkpoint, names = _source(asked)
    weights = checkpoint.first(names, may_ask=fetch) or names[0]
    if not asked.architecture:
        if not Path(checkpoint.place).is_dir():
            raise UsageError(f"there is no folder {checkpoint.place}")
        tokenizer = filter(checkpoint.here, TOKENIZER_FILES)
        return ModelFiles(asked.canonical, checkpoint, (FOLDER_CONFIG, weights, *tokenizer))
    if fetch and not checkpoint.is_local:
        checkpoint.file(weights)
    return ModelFiles(asked.canonical, checkpoint, (weights,))
