"""A CLIP and a BLIP-2-T5, decoder included, with random weights, in the formats of the real checkpoints."""

import json
from pathlib import Path

import open_clip
import torch
from expclip.manifests.prompts import PROMPT_SETS, instruction, prompt_set
from expclip.training.checkpoints import write_shards
from safetensors.torch import save
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2QFormerConfig,
    Blip2VisionConfig,
    PreTrainedTokenizerFast,
    T5Config,
)

_SEED = 0
_IMAGE_SIZE = 64
_VOCABULARY = 512
_PAD, _EOS, _UNKNOWN = _SPECIAL = "<pad>", "</s>", "<unk>"
"""In the order of their ids."""
_SPREAD = 0.2
"""Standard deviation of the random weights: with the library's 0.02 all images would look alike."""

_SHARD = "400KB"
"""Largest shard, so that the teacher is cut into several as the real one is."""
_METADATA = {"format": "pt"}


def write_tiny_models(folder: Path) -> None:
    """Make a folder with the folders `clip` and `teacher`."""
    folder.mkdir()
    tokenizer = _tokenizer()
    _write_clip(folder / "clip", tokenizer)
    _write_teacher(folder / "teacher", tokenizer)


def _tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE over the prompts and instructions, with T5's special tokens."""
    tokenizer = Tokenizer(models.BPE(unk_token=_UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=list(_SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = [text for name in PROMPT_SETS for text in prompt_set(name).texts]
    texts += [instruction(f"related-{k}").text for k in (1, 2, 3)]
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {_EOS}", special_tokens=[(_EOS, _SPECIAL.index(_EOS))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=_PAD, eos_token=_EOS, unk_token=_UNKNOWN, model_max_length=512
    )


def _write_clip(folder: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    config = {
        "embed_dim": 64,
        "vision_cfg": {"image_size": _IMAGE_SIZE, "patch_size": 16, "width": 64, "head_width": 16, "layers": 2},
        "text_cfg": {
            "context_length": 48,
            "vocab_size": len(tokenizer),
            "hf_tokenizer_name": "tiny",
            "width": 64,
            "heads": 4,
            "layers": 2,
            "pool_type": "eos",
            "eos_id": _SPECIAL.index(_EOS),
            "pad_id": _SPECIAL.index(_PAD),
        },
    }
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}, indent=1), encoding="utf-8")
    tokenizer.save_pretrained(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        model = open_clip.CLIP(**config)
    (folder / "open_clip_model.safetensors").write_bytes(save(model.state_dict(), _METADATA))


def _write_teacher(folder: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        model = Blip2ForConditionalGeneration(_teacher_config(tokenizer))
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim > 1:
                    parameter.normal_(std=_SPREAD)
    folder.mkdir()
    model.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_shards({name: tensor.data for name, tensor in model.named_parameters()}, folder, _SHARD)


def _teacher_config(tokenizer: PreTrainedTokenizerFast) -> Blip2Config:
    vision = Blip2VisionConfig(
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=_IMAGE_SIZE,
        patch_size=16,
    )
    qformer = Blip2QFormerConfig(
        vocab_size=8,
        hidden_size=48,
        encoder_hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=96,
        cross_attention_frequency=1,
    )
    text = T5Config(
        vocab_size=len(tokenizer),
        d_model=96,
        d_kv=24,
        d_ff=192,
        num_layers=2,
        num_decoder_layers=2,
        num_heads=4,
        feed_forward_proj="gated-gelu",
        pad_token_id=_SPECIAL.index(_PAD),
        eos_token_id=_SPECIAL.index(_EOS),
    )
    return Blip2Config(
        vision_config=vision.to_dict(),
        qformer_config=qformer.to_dict(),
        text_config=text.to_dict(),
        num_query_tokens=8,
        image_token_index=_SPECIAL.index(_UNKNOWN),
    )
