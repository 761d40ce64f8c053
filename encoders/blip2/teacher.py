"""A BLIP-2 with a T5: its configuration and its files, found without building it.

Its encoder side is vision tower, Q-Former, language projection, token embedding and T5 encoder; the T5 decoder, more
than half of the checkpoint, is not part of it. transformers is imported where the memory does not know what it says.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ...errors import UsageError, brief, option
from ..checkpoint import INDEX, WHOLE, Checkpoint
from ..configuration import (
    EPSILON,
    FLAG,
    LAYERS,
    MOST_TOKENS,
    NOTHING,
    PIXELS,
    SIZE,
    TEXT,
    Rule,
    checked,
    in_one_line,
    require_patches,
    several,
    whole,
)
from ..hashes import Hashes
from ..names import BUILTIN, ModelName, teacher_name
from ..weights import ModelFiles

CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
_QUERY_TOKENS = 32
_SIZES = {"hidden_size": SIZE, "intermediate_size": SIZE, "num_hidden_layers": LAYERS, "num_attention_heads": SIZE}
_ACTIVATION = {"hidden_act": TEXT, "layer_norm_eps": EPSILON}
_VISION = _SIZES | {"image_size": PIXELS, "patch_size": PIXELS} | _ACTIVATION | {"qkv_bias": FLAG}
_QFORMER = _SIZES | _ACTIVATION | {"cross_attention_frequency": LAYERS}
_T5 = {
    "vocab_size": whole(1, MOST_TOKENS),
    "d_model": SIZE,
    "d_kv": SIZE,
    "d_ff": SIZE,
    "num_layers": LAYERS,
    "num_heads": SIZE,
    "dense_act_fn": TEXT,
    "is_gated_act": FLAG,
    "relative_attention_num_buckets": whole(4, 4096),
    "relative_attention_max_distance": whole(2, MOST_TOKENS),
    "layer_norm_epsilon": EPSILON,
}
"""The fields that the encoder side is built from, and so all that can change its values; no others are passed on."""
_TOKEN = whole(0, MOST_TOKENS)
_EOS = {"eos_token_id": NOTHING | _TOKEN | several(_TOKEN, range(1, 17))}
_T5_READ = _T5 | {
    "feed_forward_proj": TEXT,  # says both the activation and whether it is gated
    **_EOS,
    **dict.fromkeys(("hidden_size", "num_attention_heads", "head_dim"), SIZE),  # other names of the same
    "num_hidden_layers": LAYERS,
}
_MODEL = {"num_query_tokens": whole(1, 4096)}


@dataclass(frozen=True)
class Teacher:
    """A BLIP-2 that was found: its files, its resolved configuration and what its values depend on."""

    name: str
    checkpoint: Checkpoint
    vision: dict[str, Any]
    qformer: dict[str, Any]
    text: dict[str, Any]
    query_tokens: int
    end_of_sequence: int
    """The token that ends every instruction."""
    hashes: Hashes

    @cached_property
    def image_digests(self) -> list[str]:
        """SHA-256 of the files that hold vision tower, queries and Q-Former, sorted: their names do not matter."""
        return self._digests(self.image_files)

    @cached_property
    def text_digests(self) -> list[str]:
        """SHA-256 of the files that hold language projection and T5 encoder, sorted."""
        return self._digests(self.text_files)

    @cached_property
    def image_files(self) -> list[str]:
        described = {"vision": self.vision, "qformer": self.qformer, "query_tokens": self.query_tokens}
        return self._files("ImageParts", described)

    @cached_property
    def text_files(self) -> list[str]:
        return self._files("TextParts", {"t5": self.text, "projects": self.qformer["hidden_size"]})

    def _files(self, part: str, described: dict[str, Any]) -> list[str]:
        """The files that hold the tensors of one of `parts`."""
        holder = self.checkpoint.tensors()

        def files() -> dict[str, Any]:
            from ..filling import needed
            from . import parts

            names = needed(getattr(parts, part)(self), self.checkpoint)
            return {"files": sorted({holder[name] for name in names})}

        return self.hashes.fact("transformers", described | {"part": part, "tensors": holder}, files)["files"]

    def _digests(self, files: list[str]) -> list[str]:
        return sorted({self.checkpoint.sha256(file, self.hashes) for file in files})


def find(text: str, hashes: Hashes) -> Teacher:
    """Read a teacher's configuration without loading weights.

    Raises UsageError where it is not a BLIP-2 with a T5, ExpclipError where its files cannot be had.
    """
    asked = teacher_name(text)
    return _read(asked.canonical, _checkpoint(asked), hashes)


def _checkpoint(asked: ModelName) -> Checkpoint:
    if asked.source in BUILTIN:
        return Checkpoint(str(BUILTIN[asked.source] / "teacher"), is_local=True)
    place = str(Path(asked.source).absolute()) if asked.is_path else asked.source
    return Checkpoint(place, is_local=asked.is_path)


def _read(name: str, checkpoint: Checkpoint, hashes: Hashes) -> Teacher:
    place = checkpoint.place
    config = checkpoint.json(CONFIG)
    _require_t5(config, place)
    vision = _section(config, "vision_config", _VISION, place, hashes)
    qformer = _section(config, "qformer_config", _QFORMER, place, hashes)
    text = _section(config, "text_config", _T5_READ, place, hashes)
    model = checked(config, _MODEL, f"{option('teacher')} {place}: {CONFIG}", ignore_others=True)
    require_patches(
        vision["image_size"], vision["patch_size"], f"{option('teacher')} {place}: vision_config of {CONFIG}"
    )
    buckets, distance = text["relative_attention_num_buckets"], text["relative_attention_max_distance"]
    if distance <= buckets // 4:  # each direction has half of the buckets, and half of these are exact distances
        far = f"relative_attention_max_distance is {distance}; {buckets} buckets need more than {buckets // 4}"
        raise UsageError(f"{option('teacher')} {place}: text_config of {CONFIG} cannot be used ({far})")
    if not isinstance(text["eos_token_id"], int):
        raise UsageError(f"{option('teacher')} {place}: {CONFIG} names no single eos_token_id (end of sequence)")
    return Teacher(
        name=name,
        checkpoint=checkpoint,
        vision={field: vision[field] for field in _VISION},
        qformer={field: qformer[field] for field in _QFORMER} | {"encoder_hidden_size": vision["hidden_size"]},
        text={field: text[field] for field in _T5},
        query_tokens=model.get("num_query_tokens", _QUERY_TOKENS),
        end_of_sequence=text["eos_token_id"],
        hashes=hashes,
    )


def _require_t5(config: dict[str, Any], place: str) -> None:
    text = config.get("text_config")
    language = text.get("model_type") if isinstance(text, dict) else None
    if config.get("model_type") != "blip-2" or language != "t5":
        what = _called(config.get("model_type"), "model without a name")
        raise UsageError(
            f"{option('teacher')} {place}: {CONFIG} describes a {what} with "
            f"the language model {_called(language, '(none)')}; a blip-2 with a t5 is needed, such as "
            f"Salesforce/blip2-flan-t5-xxl"
        )


def _called(model_type: Any, otherwise: str) -> str:
    return brief(model_type).strip("'") if model_type else otherwise


_KINDS = {"vision_config": "Blip2VisionConfig", "qformer_config": "Blip2QFormerConfig", "text_config": "T5Config"}
"""What transformers calls the parts of the configuration."""


def _section(
    config: dict[str, Any], name: str, table: Mapping[str, Rule], place: str, hashes: Hashes
) -> dict[str, Any]:
    """A part of the configuration, verbatim, with the library's defaults for what it omits.

    Keys that the table does not name do not reach the library: they change nothing of the encoder side.
    """
    known = checked(
        config.get(name, {}), table, f"{option('teacher')} {place}: {name} of {CONFIG}", ignore_others=True
    )

    def resolved() -> dict[str, Any]:
        import transformers

        with usable(place, name):
            made = getattr(transformers, _KINDS[name])(**known)
            return {field: getattr(made, field) for field in (_T5 | _EOS if table is _T5_READ else table)}

    return hashes.fact("transformers", {"kind": _KINDS[name], "config": known}, resolved)


def usable(place: str, what: str) -> AbstractContextManager[None]:
    """Say in one line that a configuration cannot be used, however the library finds out."""
    return in_one_line(UsageError, f"{option('teacher')} {place}: {what} of {CONFIG} cannot be used")


def teacher_files(text: str, fetch: bool = False) -> ModelFiles:
    """The files of a teacher's encoder side; arguments and errors as in `clip_files`.

    Of its shards only those that hold a tensor of the encoder side: the T5 decoder, more than half of a checkpoint,
    is neither fetched nor missed. Until its configuration and index are here, no shards are known to be needed.
    """
    asked = teacher_name(text)
    checkpoint = _checkpoint(asked)
    is_described = all(checkpoint.first(names, may_ask=False) for names in ((CONFIG,), (INDEX, WHOLE)))
    names = _encoder_side(checkpoint) if fetch or is_described else (CONFIG, TOKENIZER, INDEX)
    if fetch:
        for name in names:
            checkpoint.file(name)
    return ModelFiles(asked.canonical, checkpoint, names)


def _encoder_side(checkpoint: Checkpoint) -> tuple[str, ...]:
    teacher = _read("", checkpoint, Hashes())
    shards = {*teacher.image_files, *teacher.text_files}
    index = () if shards == {WHOLE} else (INDEX,)
    return CONFIG, TOKENIZER, *index, *sorted(shards)
