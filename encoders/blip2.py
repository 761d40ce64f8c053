"""BLIP-2 with a T5, in two parts: pixels to query tokens, and query tokens with an instruction to e_G.

Only the encoder side is loaded: vision tower, Q-Former, language projection, token embedding and T5 encoder. The
T5 decoder, more than half of the checkpoint, is never opened.
"""

import json
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn
from transformers import (
    Blip2QFormerConfig,
    Blip2QFormerModel,
    Blip2VisionConfig,
    Blip2VisionModel,
    T5Config,
    T5EncoderModel,
)

from ..errors import ExpclipError, UsageError
from .checkpoint import Checkpoint
from .hashes import Hashes
from .images import Squash
from .names import TeacherName
from .node import Node
from .pixels import to_planes
from .precision import DType, Precision, torch_dtype

_IMAGE_SIDE = ("vision_model.", "query_tokens", "qformer.")
_TEXT_SIDE = ("language_projection.", "language_model.shared.", "language_model.encoder.")
_TOKENIZER = "tokenizer.json"
_QUERY_TOKENS = 32
_MEAN_STD = ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])
"""BLIP-2 was trained with CLIP's constants, as its processor's configuration says."""


@dataclass(frozen=True)
class Teacher:
    """A BLIP-2 that was found: its files, its resolved configuration and what its values depend on."""

    name: str
    checkpoint: Checkpoint
    vision: dict[str, Any]
    qformer: dict[str, Any]
    text: dict[str, Any]
    query_tokens: int
    hashes: Hashes
    untrained: bool


def find_teacher(name: TeacherName, hashes: Hashes) -> Teacher:
    """Read a teacher's configuration without loading weights.

    Raises UsageError where it is no BLIP-2 with a T5, ExpclipError where its files cannot be had.
    """
    checkpoint = Checkpoint(name.place, name.is_local)
    config = checkpoint.json("config.json")
    text = config.get("text_config", {})
    if config.get("model_type") != "blip-2" or text.get("model_type") != "t5":
        raise UsageError(f"--teacher {name.place}: this is no BLIP-2 with a T5 language model")
    return Teacher(
        name=name.canonical,
        checkpoint=checkpoint,
        vision=_resolved(Blip2VisionConfig(**config.get("vision_config", {}))),
        qformer=_resolved(Blip2QFormerConfig(**config.get("qformer_config", {}))),
        text=_resolved(T5Config(**text)),
        query_tokens=config.get("num_query_tokens", _QUERY_TOKENS),
        hashes=hashes,
        untrained=False,
    )


def _resolved(config: Any) -> dict[str, Any]:
    """All fields of a configuration, defaults included, but for those that only record its history."""
    history = {"transformers_version", "_name_or_path", "dtype", "torch_dtype", "architectures"}
    return {key: value for key, value in config.to_dict().items() if key not in history}


def query_tokens_node(teacher: Teacher, protocol: str, precision: Precision) -> Node:
    """`query_tokens`: the Q-Former's output e_Q (tokens, width), before the language projection."""
    squash = Squash(teacher.vision["image_size"], honour_orientation=protocol == "paper")
    mean_std = _MEAN_STD if protocol == "paper" else None
    spec = {
        "node": "query_tokens",
        "vision": teacher.vision,
        "qformer": teacher.qformer,
        "query_tokens": teacher.query_tokens,
        "weights": teacher.checkpoint.weights_digests(_IMAGE_SIDE, teacher.hashes),
        "protocol": protocol,
        "transform": squash.spec() | {"mean_std": mean_std},
        "precision": {"vision": precision.vision, "qformer": "float32"},
        "stored": "float16",
    }
    return Node(
        name="query_tokens",
        model=teacher.name,
        spec=spec,
        row_shape=(teacher.query_tokens, teacher.qformer["hidden_size"]),
        input="pixels",
        load=partial(ImageSide, teacher, precision, mean_std),
        untrained=teacher.untrained,
        protocol=protocol,
        squash=squash,
    )


def llm_node(teacher: Teacher, query_tokens: Node, name: str, instruction: str, precision: Precision) -> Node:
    """`llm`: e_G (L',), the mean over tokens of the T5 encoder's output for [projected e_Q; instruction].

    Source: Exp-CLIP, section 3; pooling as in its released code: unweighted, end-of-sequence included.
    """
    spec = {
        "node": "llm",
        "input": query_tokens.digest,
        "t5": teacher.text,
        "weights": teacher.checkpoint.weights_digests(_TEXT_SIDE, teacher.hashes),
        "tokenizer": teacher.checkpoint.sha256(_TOKENIZER, teacher.hashes),
        "instruction": instruction,
        "pooling": "mean over query and instruction tokens, end-of-sequence included",
        "precision": {"projection": "float32", "t5": precision.t5},
        "stored": "float16",
    }
    return Node(
        name="llm",
        model=teacher.name,
        spec=spec,
        row_shape=(teacher.text["d_model"],),
        input="query_tokens",
        load=partial(TextSide, teacher, instruction, precision),
        untrained=teacher.untrained,
        protocol=query_tokens.protocol,
        instruction=name,
        parent=query_tokens,
    )


class ImageSide:
    """Pixels to e_Q: vision tower and Q-Former."""

    def __init__(
        self,
        teacher: Teacher,
        precision: Precision,
        mean_std: tuple[list[float], list[float]] | None,
        device: str,
    ):
        with torch.device("meta"):
            vision = Blip2VisionModel._from_config(Blip2VisionConfig(**teacher.vision))
            qformer = Blip2QFormerModel._from_config(Blip2QFormerConfig(**teacher.qformer))
        weights = dict(teacher.checkpoint.tensors(_IMAGE_SIDE))
        self._queries = _take(weights, "query_tokens").to(device, torch.float32)
        self._qformer = _fill(qformer, "qformer.", weights, torch.float32, device)
        self._vision = _fill(vision, "vision_model.", weights, torch.float32, device, torch_dtype(precision.vision))
        self._dtype = torch_dtype(precision.vision)
        self._mean_std = mean_std
        self._device = device

    @torch.inference_mode()
    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        planes = to_planes(pixels, self._device, self._mean_std)
        kind = self._device.partition(":")[0]
        with torch.autocast(kind, dtype=self._dtype, enabled=self._dtype != torch.float32):
            seen = self._vision(pixel_values=planes).last_hidden_state
        queries = self._queries.expand(len(planes), -1, -1)
        return self._qformer(query_embeds=queries, encoder_hidden_states=seen.float()).last_hidden_state.cpu().numpy()


class TextSide:
    """e_Q to e_G under one instruction: language projection and T5 encoder."""

    def __init__(self, teacher: Teacher, instruction: str, precision: Precision, device: str):
        self._projection, self._t5 = _language_side(
            teacher.checkpoint, json.dumps(teacher.text), teacher.qformer["hidden_size"], precision.t5, device
        )
        ids = Tokenizer.from_file(str(teacher.checkpoint.file(_TOKENIZER))).encode(instruction).ids
        self._instruction = self._t5.shared(torch.tensor([ids], device=device))
        self._device = device

    @torch.inference_mode()
    def __call__(self, query_tokens: np.ndarray) -> np.ndarray:
        queries = self._projection(torch.from_numpy(query_tokens).to(self._device, torch.float32))
        words = self._instruction.expand(len(queries), -1, -1)
        hidden = self._t5(inputs_embeds=torch.cat([queries.to(words.dtype), words], dim=1)).last_hidden_state
        return hidden.mean(dim=1).float().cpu().numpy()


@lru_cache(maxsize=1)
def _language_side(
    checkpoint: Checkpoint, text: str, width: int, dtype: DType, device: str
) -> tuple[nn.Linear, T5EncoderModel]:
    """One language projection and T5 encoder a process, whatever the number of instructions."""
    config = T5Config(**json.loads(text))
    with torch.device("meta"):
        t5 = T5EncoderModel._from_config(config)
        projection = nn.Linear(width, config.d_model)
    weights = dict(checkpoint.tensors(_TEXT_SIDE))
    shared, tied = "language_model.shared.weight", "language_model.encoder.embed_tokens.weight"
    embedding = _take(weights, shared if shared in weights else tied)
    weights |= {shared: embedding, tied: embedding}
    _fill(projection, "language_projection.", weights, torch.float32, device)
    _fill(t5, "language_model.", weights, torch_dtype(dtype), device)
    return projection, t5


def _fill(
    module: nn.Module,
    prefix: str,
    weights: dict[str, torch.Tensor],
    dtype: torch.dtype,
    device: str,
    product_dtype: torch.dtype | None = None,
) -> nn.Module:
    """Give a module without storage its tensors, moved out of `weights` one by one so that nothing is held twice.

    `product_dtype` is the number format of linear and convolution layers where it differs from the others'.
    """
    products = {name for name, part in module.named_modules() if isinstance(part, (nn.Linear, nn.Conv2d))}
    state = {}
    for name in module.state_dict():
        is_product = name.rpartition(".")[0] in products
        tensor = _take(weights, prefix + name)
        state[name] = tensor.to(device, (product_dtype or dtype) if is_product else dtype)
    try:
        module.load_state_dict(state, assign=True)
    except RuntimeError as error:
        raise ExpclipError(f"--teacher: the weights do not fit the configuration ({error})") from error
    return module.eval()


def _take(weights: dict[str, torch.Tensor], name: str) -> torch.Tensor:
    tensor = weights.pop(name, None)
    if tensor is None:
        raise ExpclipError(f"--teacher: the checkpoint lacks {name}")
    return tensor
