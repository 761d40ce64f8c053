"""Which CLIP a name means: architecture, weights, preprocessing and tokenizer, found without building it."""

import difflib
import os
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ...errors import ExpclipError, UsageError, option
from ..checkpoint import Checkpoint
from ..hashes import Hashes
from ..names import BUILTIN, LOCAL_DIR, RANDOM, ModelName, clip_name
from ..squash import BICUBIC, BILINEAR
from ..weights import ModelFiles
from ..weights_card import trained_with_quick_gelu
from .clip_fields import FOLDER_CONFIG, checked_model, checked_preprocessing

RANDOM_SEED = 0
_OPEN_CLIP = "open_clip_torch"
"""What it is installed as."""
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
    def resample(self) -> str:
        """The filter that images are resized with where they are encoded; open_clip has no others then."""
        return BILINEAR if self.preprocess["interpolation"] == BILINEAR else BICUBIC

    @property
    def crops(self) -> bool:
        """Whether it was trained on the middle of images. Raises UsageError where it was on images with margins."""
        if self.preprocess["resize_mode"] == "longest":
            raise UsageError(
                f"{self.name} was trained on images with margins, which the protocol native does not know: choose "
                f"another with {option('protocol')}"
            )
        return self.preprocess["resize_mode"] == "shortest"

    @property
    def origin(self) -> dict[str, Any]:
        """What the weights are: the SHA-256 of their file, or how random ones are drawn."""
        if self.weights:
            return {"sha256": self.weights.sha256}
        return {"random_seed": RANDOM_SEED, "open_clip": version(_OPEN_CLIP), "torch": version("torch")}


def find(text: str, hashes: Hashes) -> ClipModel:
    """Resolve a name to configuration and weights without building the model.

    A file of weights says nothing about preprocessing: OpenAI's constants are taken. Raises UsageError for an unknown
    name and for a tag that needs another activation, ExpclipError where the weights cannot be had.
    """
    asked = clip_name(text)
    if not asked.architecture:
        return _in_folder(asked, hashes)
    described = {"architecture": asked.architecture, "tag": asked.source}
    known = hashes.fact(_OPEN_CLIP, described, lambda: _known(asked))
    config, tag = known["config"], known["tag"]
    if tag.get("quick_gelu") and not config.get("quick_gelu"):
        raise UsageError(
            f"{option('clip')} {asked.architecture}@{asked.source}: these weights were trained with QuickGELU; "
            f"write {asked.architecture}-quickgelu@{asked.source}"
        )
    weights = None if asked.source == RANDOM else _weights(asked, _source(asked, tag), hashes)
    remarks = _of_activation(asked, bool(config.get("quick_gelu")), weights, hashes)
    tokenizer = {"open_clip": config["text_cfg"].get("hf_tokenizer_name", "simple")}
    preprocess = _preprocessing(tag, hashes)
    return ClipModel(asked.canonical, asked.architecture, weights, config, preprocess, tokenizer, remarks)


def _known(asked: ModelName) -> dict[str, Any]:
    """What open_clip knows of an architecture and its tag. Raises UsageError where it has no such architecture."""
    import open_clip

    config = open_clip.get_model_config(asked.architecture) if asked.architecture in open_clip.list_models() else None
    if config is None:
        close = difflib.get_close_matches(asked.architecture, open_clip.list_models(), n=3)
        raise UsageError(
            f"{option('clip')} {asked.architecture}: open_clip knows no such architecture"
            + (f"; the closest are {', '.join(close)}" if close else "")
        )
    return {"config": config, "tag": _tag(asked)}


def _tag(asked: ModelName) -> dict[str, Any]:
    """What open_clip knows of the tag of an architecture; nothing where it has no such tag."""
    import open_clip

    return open_clip.get_pretrained_cfg(asked.architecture, asked.source)


def _of_activation(
    asked: ModelName, has_quick_gelu: bool, weights: Weights | None, hashes: Hashes
) -> tuple[str, ...]:
    """What to say of the activation of weights in a file, which itself may say which it needs.

    Raises UsageError where it says that it needs the other.
    """
    path = weights.checkpoint.here(weights.file) if weights and weights.checkpoint.is_local else None
    if path is None:
        return ()
    needs = trained_with_quick_gelu(path)
    if needs == has_quick_gelu or (needs is None and has_quick_gelu):
        return ()
    other = _twin(asked, hashes)
    if needs is None:
        if not other:
            return ()
        return (
            f"nothing says whether these weights were trained with QuickGELU, as OpenAI's were. They are taken to be "
            f"without: if they were trained with it, write {other}@{asked.source}, else {asked.architecture}@"
            f"{asked.source} is right",
        )
    how = f"these weights were trained {'with' if needs else 'without'} QuickGELU, says {path}"
    if not asked.architecture:
        right = f"`quick_gelu` in `model_cfg` of {FOLDER_CONFIG} must say so"
    else:
        right = f"write {other}@{asked.source}" if other else "open_clip has no such architecture"
    raise UsageError(f"{option('clip')} {asked.typed}: {how}; {right}")


def _twin(asked: ModelName, hashes: Hashes) -> str | None:
    """The same architecture with the other activation, if open_clip has it."""

    def found() -> dict[str, Any]:
        from .likeness import twin

        return {"twin": twin(asked.architecture)}

    return hashes.fact(_OPEN_CLIP, {"twin of": asked.architecture}, found)["twin"] if asked.architecture else None


def _in_folder(asked: ModelName, hashes: Hashes) -> ClipModel:
    checkpoint, _ = source = _source(asked)
    build_as = f"{LOCAL_DIR}{checkpoint.place}"
    content = checkpoint.json(FOLDER_CONFIG)
    config = content.get("model_cfg")
    if not isinstance(config, dict) or not {"embed_dim", "vision_cfg", "text_cfg"} <= config.keys():
        raise UsageError(f"{option('clip')} {build_as}: {FOLDER_CONFIG} has no open_clip `model_cfg`")
    where = f"{option('clip')} {build_as}"
    config = checked_model(config, where)
    preprocess = _preprocessing(checked_preprocessing(content.get("preprocess_cfg", {}), where), hashes)
    weights = _weights(asked, source, hashes)
    _of_activation(asked, bool(config.get("quick_gelu")), weights, hashes)
    tokenizer = {"open_clip": "simple"}
    if config["text_cfg"].get("hf_tokenizer_name"):
        tokenizer = {name: checkpoint.sha256(name, hashes) for name in TOKENIZER_FILES if checkpoint.here(name)}
    return ClipModel(asked.canonical, build_as, weights, config, preprocess, tokenizer)


def _preprocessing(known: dict[str, Any], hashes: Hashes) -> dict[str, Any]:
    """open_clip's defaults with what is known of a model, as its factory merges them."""

    def merged() -> dict[str, Any]:
        from open_clip.transform import PreprocessCfg, merge_preprocess_dict

        return dict(merge_preprocess_dict(asdict(PreprocessCfg()), known))

    return hashes.fact(_OPEN_CLIP, {"preprocessing": known}, merged)


Source = tuple[Checkpoint, tuple[str, ...]]
"""Where weights are, and the names that their file may have, the best first."""


def _source(asked: ModelName, tag: dict[str, Any] | None = None) -> Source:
    """Where the weights of a name are; of an architecture open_clip's tag says it.

    Raises ExpclipError for a tag whose weights are not on the hub.
    """
    path = Path(asked.source).expanduser().absolute()
    if not asked.architecture:
        folder = BUILTIN[asked.source] / "clip" if asked.source in BUILTIN else path
        return Checkpoint(str(folder), is_local=True), FOLDER_WEIGHTS
    tag = _tag(asked) if tag is None else tag
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


def _weights(asked: ModelName, source: Source, hashes: Hashes) -> Weights:
    checkpoint, names = source
    file = checkpoint.first(names) or names[-1]
    if checkpoint.is_local and not checkpoint.here(file):
        if not asked.architecture:
            place = f"{LOCAL_DIR}{checkpoint.place}"
            raise UsageError(f"{option('clip')} {place}: the folder has none of {', '.join(names)}")
        path = Path(checkpoint.place) / file
        what = f"there is no file {path}" if asked.is_path else "neither a file nor a tag that open_clip knows"
        import open_clip

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
