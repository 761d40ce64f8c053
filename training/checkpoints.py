"""Writing models in the formats of the real checkpoints: float16 safetensors, configuration, tokenizer files."""

import json
from collections.abc import Mapping
from pathlib import Path

import open_clip
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors.torch import save
from tokenizers import Tokenizer
from torch import Tensor
from transformers import Blip2ForConditionalGeneration, PreTrainedTokenizerFast

from .tokenizer import EOS, PAD, SPECIAL, UNKNOWN
from .train_clip import clip_config

_SHARD = "2MB"
"""Largest shard, so that the teacher is cut into several as the real one is."""
_METADATA = {"format": "pt"}
_PIXELS = {"mean": [0.0] * 3, "std": [1.0] * 3, "interpolation": "bilinear", "resize_mode": "squash"}
"""What images are to the CLIP while it is trained: values from 0 to 1."""


def write_clip(model: open_clip.CLIP, tokenizer: Tokenizer, folder: Path) -> None:
    """A folder for `local-dir:`, as open_clip writes it."""
    folder.mkdir()
    config = {"model_cfg": clip_config(tokenizer.get_vocab_size()), "preprocess_cfg": _PIXELS}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    _fast(tokenizer).save_pretrained(folder)
    tensors = {
        name: tensor.half().contiguous() if tensor.is_floating_point() else tensor
        for name, tensor in model.state_dict().items()
    }
    (folder / "open_clip_model.safetensors").write_bytes(save(tensors, _METADATA))


def write_teacher(model: Blip2ForConditionalGeneration, tokenizer: Tokenizer, folder: Path) -> None:
    """A folder as transformers writes it, but without the decoder, which no feature needs."""
    folder.mkdir()
    model.config.save_pretrained(folder)
    _fast(tokenizer).save_pretrained(folder)
    tensors = {
        name: tensor.data.half().contiguous()
        for name, tensor in model.named_parameters()  # which names a shared tensor once
        if not name.startswith(("language_model.decoder.", "language_model.lm_head."))
    }
    write_shards(tensors, folder, _SHARD)


def write_shards(tensors: Mapping[str, Tensor], folder: Path, largest: str) -> None:
    """Safetensors files no larger than `largest` and their index: `save_pretrained` without its progress bar."""
    plan = split_torch_state_dict_into_shards(dict(tensors), max_shard_size=largest)
    for name, names in plan.filename_to_tensors.items():
        (folder / name).write_bytes(save({tensor: tensors[tensor] for tensor in names}, _METADATA))
    index = {"metadata": {"total_size": plan.metadata["total_size"]}, "weight_map": plan.tensor_to_filename}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


def _fast(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=SPECIAL[PAD],
        eos_token=SPECIAL[EOS],
        unk_token=SPECIAL[UNKNOWN],
        model_max_length=512,
    )
