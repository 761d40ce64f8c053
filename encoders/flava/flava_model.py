"""Which FLAVA a name means: its configuration, weights, pixels and tokenizer, found without building it."""

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ...errors import UsageError, option
from ..checkpoint import INDEX, WHOLE, Checkpoint
from ..hashes import Hashes
from ..names import RANDOM, ModelName, flava_name
from ..weights import ModelFiles
from .flava_fields import CONFIG, PREPROCESSOR, read_model, read_pixels

RANDOM_SEED = 0
PICKLE = "pytorch_model.bin"
TOKENIZER, VOCABULARY, TOKENIZER_CONFIG = "tokenizer.json", "vocab.txt", "tokenizer_config.json"
_WEIGHTS, _TOKENIZERS = (INDEX, WHOLE, PICKLE), (TOKENIZER, VOCABULARY)
"""In order of preference."""
PREFIX = "flava."
"""Before the names of a FlavaModel in the checkpoint of its pre-training."""
TOWERS = ("image_model.", "text_model.", "image_projection.", "text_projection.")
"""How the names of what is built begin."""


@dataclass(frozen=True)
class FlavaModel:
    """A FLAVA that was found."""

    name: str
    checkpoint: Checkpoint | None
    """None for random weights."""
    weights: tuple[str, ...]
    """The files that hold what is built."""
    image: dict[str, Any]
    """The image tower's configuration, in the library's words."""
    text: dict[str, Any]
    embed_dim: int
    mean: list[float]
    std: list[float]
    resample: str
    tokenizer: dict[str, str]
    """SHA-256 by the names of its files; none where it has made-up words of single letters."""
    origin: dict[str, Any]
    """What the weights are: the SHA-256 of their files, or how random ones are drawn."""

    @property
    def where(self) -> str:
        """For messages."""
        place = self.checkpoint.place if self.checkpoint else RANDOM
        return f"{option('clip')} flava@{place}"

    @property
    def architecture(self) -> dict[str, Any]:
        """What is built, in the words of open_clip where it has one: equal for both towers, and no CLIP's."""
        text = self.text | {"context_length": self.text["max_position_embeddings"]}
        towers = {"embed_dim": self.embed_dim, "vision_cfg": self.image, "text_cfg": text}
        return {"family": "flava", **towers, "pooling": "first token of the normalised last layer"}


def find(text: str, hashes: Hashes) -> FlavaModel:
    """Resolve a name without building the model.

    Raises UsageError for a folder that holds no FLAVA, ExpclipError where files cannot be had.
    """
    asked = flava_name(text)
    checkpoint = _checkpoint(asked)
    if checkpoint is None:
        image, words, width = read_model({"model_type": "flava"}, "")
        origin = {"random_seed": RANDOM_SEED, "transformers": version("transformers"), "torch": version("torch")}
        pixels = read_pixels({}, image["image_size"], "")
        return FlavaModel(asked.canonical, None, (), image, words, width, *pixels, {}, origin)
    where = f"{option('clip')} flava@{checkpoint.place}"
    image, words, width = read_model(checkpoint.json(CONFIG), where)
    pixels = read_pixels(_preprocessing(checkpoint), image["image_size"], where)
    weights = _weights(checkpoint)
    origin = {"sha256": sorted({checkpoint.sha256(file, hashes) for file in weights})}
    tokenizer = {name: checkpoint.sha256(name, hashes) for name in _tokenizer(checkpoint)}
    return FlavaModel(asked.canonical, checkpoint, weights, image, words, width, *pixels, tokenizer, origin)


def _checkpoint(asked: ModelName) -> Checkpoint | None:
    """Where a name's files are. Raises UsageError where there is no such folder."""
    if asked.source == RANDOM and not asked.is_path:
        return None
    if not asked.is_path:
        return Checkpoint(asked.source, is_local=False)
    folder = Path(asked.source).expanduser().absolute()
    if not folder.is_dir():
        raise UsageError(f"{option('clip')} {asked.typed}: there is no folder {folder}")
    return Checkpoint(str(folder), is_local=True)


def _preprocessing(checkpoint: Checkpoint) -> dict[str, Any]:
    return checkpoint.json(PREPROCESSOR) if checkpoint.first((PREPROCESSOR,)) else {}


def _weights(checkpoint: Checkpoint) -> tuple[str, ...]:
    """The files that hold what is built. Raises UsageError where there are none."""
    found = checkpoint.first(_WEIGHTS)
    if found is None:
        raise UsageError(f"{checkpoint.place} has none of {INDEX}, {WHOLE} and {PICKLE}: copy all files of the model")
    return _shards(checkpoint) if found == INDEX else (found,)


def _shards(checkpoint: Checkpoint) -> tuple[str, ...]:
    holder = checkpoint.tensors()
    return tuple(sorted({holder[name] for name in holder if name.removeprefix(PREFIX).startswith(TOWERS)}))


def _tokenizer(checkpoint: Checkpoint) -> tuple[str, ...]:
    """The files that say how texts become tokens. Raises UsageError where there are none."""
    found = checkpoint.first(_TOKENIZERS)
    if found is None:
        raise UsageError(f"{checkpoint.place} has neither {TOKENIZER} nor {VOCABULARY}: copy all files of the model")
    return found, *_spelling(checkpoint, found)


def _spelling(checkpoint: Checkpoint, tokenizer: str, may_ask: bool = True) -> tuple[str, ...]:
    """What says whether case and accents matter: of a bare vocabulary a file beside it, if there is one."""
    return (TOKENIZER_CONFIG,) if tokenizer == VOCABULARY and checkpoint.first((TOKENIZER_CONFIG,), may_ask) else ()


def flava_files(text: str, fetch: bool = False) -> ModelFiles:
    """The files of a FLAVA; arguments and errors as in `clip_files`."""
    asked = flava_name(text)
    checkpoint = _checkpoint(asked)
    if checkpoint is None:
        return ModelFiles(asked.canonical, None, ())
    if fetch:
        checkpoint.file(CONFIG)
    is_unknown = not (fetch or checkpoint.is_local)  # the hub has not been asked
    pixels = (PREPROCESSOR,) if is_unknown or checkpoint.first((PREPROCESSOR,), fetch) else ()
    weights = checkpoint.first(_WEIGHTS, fetch) or PICKLE
    shards = (INDEX, *_shards(checkpoint)) if weights == INDEX else (weights,)
    tokenizer = checkpoint.first(_TOKENIZERS, fetch) or TOKENIZER
    names = (CONFIG, *pixels, *shards, tokenizer, *_spelling(checkpoint, tokenizer, fetch))
    if fetch:
        for name in names:
            checkpoint.file(name)
    return ModelFiles(asked.canonical, checkpoint, names)
