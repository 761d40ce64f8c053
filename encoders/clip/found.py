"""Which CLIP a name means: architecture, weights, preprocessing and tokenizer, found without building it."""

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ...errors import ExpclipError, UsageError, brief, option
from ..checkpoint import Checkpoint
from ..configuration import HUB_NAME
from ..hashes import Hashes
from ..names import BUILTIN, HUB, LOCAL_DIR, OPENAI, RANDOM, ModelName, clip_name, closest
from ..squash import BICUBIC, BILINEAR
from ..weights import ModelFiles
from .activation import OPEN_CLIP, remarks_on_activation
from .clip_fields import FOLDER_CONFIG, checked_model, checked_preprocessing
from .tokenizer_files import KIND_FILE, TOKENIZER_FILES, WHOLE, tokenizer_digests, tokenizer_files

RANDOM_SEED = 0
FOLDER_WEIGHTS = (
    *("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors"),
    *("open_clip_pytorch_model.bin", "model.safetensors"),
)
"""In order of preference."""
_PREPROCESSING = {"mean", "std", "interpolation", "resize_mode"}
_OWN_TOKENIZER = "simple"
"""open_clip's own, of whose name the specs of texts speak."""


@dataclass(frozen=True)
class Weights:
    """A file of weights; `sha256` tells what they are, wherever they are."""

    checkpoint: Checkpoint
    file: str
    sha256: str

    @property
    def own_file(self) -> Path | None:
        """The file where it is the user's own; None where it is the hub's."""
        return self.checkpoint.here(self.file) if self.checkpoint.is_local else None


@dataclass(frozen=True)
class ClipModel:
    """A CLIP that was found: how open_clip is to build it, and what its values depend on."""

    name: str
    build_as: str
    """What open_clip calls it: an architecture, `local-dir:FOLDER` or `hf-hub:OWNER/REPO`."""
    weights: Weights | None
    """None for random weights."""
    config: dict[str, Any]
    """open_clip's model configuration."""
    preprocess: dict[str, Any]
    """open_clip's resolved preprocessing of this model."""
    tokenizer_at: Checkpoint | None
    """Where the files of its tokenizer are; None for open_clip's own."""
    known_tokenizer: dict[str, str] | None
    """The digests of these files; None where they are not on this machine."""
    remarks: tuple[str, ...] = ()
    """What the user should know of it."""

    @property
    def untrained(self) -> bool:
        return self.weights is None

    @property
    def has_own_configuration(self) -> bool:
        """Whether its configuration lies beside its weights."""
        return self.build_as.startswith((LOCAL_DIR, HUB))

    @property
    def is_strangers(self) -> bool:
        """Whether its configuration may be a stranger's: it lies beside weights that did not come with expclip."""
        return (
            self.has_own_configuration and Path(self.build_as.removeprefix(LOCAL_DIR)).parent not in BUILTIN.values()
        )

    @property
    def is_local(self) -> bool:
        """Whether it is made of what is on this machine alone: then the network is not used for any part of it."""
        return self.weights is None or self.weights.checkpoint.is_local

    @property
    def tokenizer(self) -> dict[str, str]:
        """What its tokenizer is. Raises ExpclipError where files of the hub cannot be had."""
        if self.tokenizer_at is None:
            return {"open_clip": _OWN_TOKENIZER}
        if self.known_tokenizer is not None:
            return self.known_tokenizer
        if self.is_local:  # it cannot encode texts, which is said where it would
            return {"hub": self.tokenizer_at.place}
        return tokenizer_digests(self.tokenizer_at, Hashes())

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
        return {"random_seed": RANDOM_SEED, "open_clip": version(OPEN_CLIP), "torch": version("torch")}


def find(text: str, hashes: Hashes) -> ClipModel:
    """Resolve a name to configuration and weights without building the model.

    A file of weights says nothing about preprocessing: OpenAI's constants are taken. Raises UsageError for an unknown
    name and for a tag that needs another activation, ExpclipError where the weights cannot be had.
    """
    asked = clip_name(text)
    if not asked.architecture:
        return _in_folder(asked, hashes)
    described = {"architecture": asked.architecture, "tag": asked.source}
    known = hashes.fact(OPEN_CLIP, described, lambda: _known(asked))
    config, tag = known["config"], known["tag"]
    if tag.get("quick_gelu") and not config.get("quick_gelu"):
        raise UsageError(
            f"{option('clip')} {asked.architecture}@{asked.source}: these weights were trained with QuickGELU; "
            f"write {asked.architecture}-quickgelu@{asked.source}"
        )
    weights = None if asked.source == RANDOM else _weights(asked, _source(asked, tag), hashes)
    remarks = remarks_on_activation(asked, bool(config.get("quick_gelu")), weights and weights.own_file, hashes)
    tokenizer = _tokenizer_of(config["text_cfg"])
    known = _here(tokenizer, hashes)
    preprocess = _preprocessing(tag or _usual(asked.architecture, hashes), hashes)
    return ClipModel(asked.canonical, asked.architecture, weights, config, preprocess, tokenizer, known, remarks)


def _tokenizer_of(text: dict[str, Any]) -> Checkpoint | None:
    """The hub's repository with the tokenizer that open_clip's `text_cfg` names; None for open_clip's own."""
    name = text.get("hf_tokenizer_name")
    return Checkpoint(name, is_local=False) if name else None


def _here(tokenizer: Checkpoint | None, hashes: Hashes) -> dict[str, str] | None:
    """The digests of a tokenizer's files; None where they are not on this machine."""
    if tokenizer and (tokenizer.is_local or tokenizer_files(tokenizer, may_ask=False)):
        return tokenizer_digests(tokenizer, hashes)
    return None


def _known(asked: ModelName) -> dict[str, Any]:
    """What open_clip knows of an architecture and its tag. Raises UsageError where it has no such architecture."""
    import open_clip

    config = open_clip.get_model_config(asked.architecture) if asked.architecture in open_clip.list_models() else None
    if config is None:
        close = closest(asked.architecture)
        raise UsageError(
            f"{option('clip')} {asked.architecture}: open_clip knows no such architecture"
            + (f"; the closest are {', '.join(close)}" if close else "")
        )
    return {"config": config, "tag": _tag(asked)}


def _tag(asked: ModelName) -> dict[str, Any]:
    """What open_clip knows of the tag of an architecture; nothing where it has no such tag."""
    import open_clip

    return open_clip.get_pretrained_cfg(asked.architecture, asked.source)


def _usual(architecture: str, hashes: Hashes) -> dict[str, Any]:
    """The preprocessing that all weights of an architecture were trained with, where none are OpenAI's; else none."""

    def found() -> dict[str, Any]:
        import open_clip

        tags = open_clip.list_pretrained_tags_by_model(architecture)
        known = [open_clip.get_pretrained_cfg(architecture, tag) for tag in tags]
        own = [{name: one[name] for name in _PREPROCESSING & one.keys()} for one in known]
        is_one = own and all(one == own[0] for one in own) and OPENAI not in tags
        return own[0] if is_one else {}

    return hashes.fact(OPEN_CLIP, {"preprocessing of": architecture}, found)


def _in_folder(asked: ModelName, hashes: Hashes) -> ClipModel:
    checkpoint, _ = source = _source(asked)
    build_as = f"{HUB if asked.is_hub else LOCAL_DIR}{checkpoint.place}"
    content = checkpoint.json(FOLDER_CONFIG)
    config = content.get("model_cfg")
    if not isinstance(config, dict) or not {"embed_dim", "vision_cfg", "text_cfg"} <= config.keys():
        raise UsageError(f"{option('clip')} {build_as}: {FOLDER_CONFIG} has no open_clip `model_cfg`")
    where = f"{option('clip')} {build_as}"
    config = checked_model(config, where)
    preprocess = _preprocessing(checked_preprocessing(content.get("preprocess_cfg", {}), where), hashes)
    weights = _weights(asked, source, hashes)
    remarks_on_activation(asked, bool(config.get("quick_gelu")), weights and weights.own_file, hashes)
    tokenizer = _tokenizer_of(config["text_cfg"])
    if tokenizer and asked.is_hub and not HUB_NAME.holds(tokenizer.place):
        raise UsageError(
            f"{where}: hf_tokenizer_name of {FOLDER_CONFIG} is {brief(tokenizer.place)}; it must be {HUB_NAME.says}"
        )
    if tokenizer and not asked.is_hub:  # it lies in the folder too, whatever it is called on the hub
        tokenizer = checkpoint
    return ClipModel(asked.canonical, build_as, weights, config, preprocess, tokenizer, _here(tokenizer, hashes))


def _preprocessing(known: dict[str, Any], hashes: Hashes) -> dict[str, Any]:
    """open_clip's defaults with what is known of a model, as its factory merges them."""

    def merged() -> dict[str, Any]:
        from open_clip.transform import PreprocessCfg, merge_preprocess_dict

        return dict(merge_preprocess_dict(asdict(PreprocessCfg()), known))

    return hashes.fact(OPEN_CLIP, {"preprocessing": known}, merged)


Source = tuple[Checkpoint, tuple[str, ...]]
"""Where weights are, and the names that their file may have, the best first."""


def _source(asked: ModelName, tag: dict[str, Any] | None = None) -> Source:
    """Where the weights of a name are; of an architecture open_clip's tag says it.

    Raises ExpclipError for a tag whose weights are not on the hub.
    """
    path = Path(asked.source).expanduser().absolute()
    if asked.is_hub:
        return Checkpoint(asked.source, is_local=False), FOLDER_WEIGHTS
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
    if not asked.architecture and checkpoint.is_local:
        if not Path(checkpoint.place).is_dir():
            raise UsageError(f"there is no folder {checkpoint.place}")
        tokenizer = filter(checkpoint.here, TOKENIZER_FILES)
        return ModelFiles(asked.canonical, checkpoint, (FOLDER_CONFIG, weights, *tokenizer))
    needed = (weights,) if asked.architecture else (FOLDER_CONFIG, weights)
    for name in needed if fetch and not checkpoint.is_local else ():
        checkpoint.file(name)
    others = tuple(_of_texts(asked, _text_config(asked, checkpoint), fetch))
    return ModelFiles(asked.canonical, checkpoint, needed, others)


def _text_config(asked: ModelName, checkpoint: Checkpoint) -> dict[str, Any]:
    """What describes the text side; empty where that is not on this machine, or nothing that open_clip knows."""
    if asked.architecture:
        import open_clip

        return (open_clip.get_model_config(asked.architecture) or {}).get("text_cfg", {})
    model = checkpoint.json(FOLDER_CONFIG).get("model_cfg") if checkpoint.here(FOLDER_CONFIG) else None
    text = model.get("text_cfg") if isinstance(model, dict) else None
    return text if isinstance(text, dict) else {}


def _of_texts(asked: ModelName, text: dict[str, Any], fetch: bool) -> Iterator[ModelFiles]:
    """What texts need of other repositories: a tokenizer, and the configuration of a text tower."""
    tokenizer = _tokenizer_of(text)
    if tokenizer:
        names = tokenizer_files(tokenizer, may_ask=fetch) or (WHOLE,)
        if fetch and tokenizer.first((KIND_FILE,)):
            names = (KIND_FILE, *names)
        yield _fetched(asked, tokenizer, names, fetch)
    if isinstance(text.get("hf_model_name"), str):
        yield _fetched(asked, Checkpoint(text["hf_model_name"], is_local=False), (KIND_FILE,), fetch)


def _fetched(asked: ModelName, checkpoint: Checkpoint, names: tuple[str, ...], fetch: bool) -> ModelFiles:
    for name in names if fetch else ():
        checkpoint.file(name)
    return ModelFiles(asked.canonical, checkpoint, names)
