"""BLIP-2's two parts: pixels to query tokens, and query tokens with an instruction to e_G; its T5 alone for texts."""

from collections.abc import Sequence
from functools import partial
from threading import Lock
from weakref import WeakValueDictionary

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn

from ..cache.keys import digest
from ..errors import ExpclipError
from .filling import fill, needed
from .images import Squash
from .node import Node
from .pixels import as_tensor, to_planes
from .precision import Precision, torch_dtype
from .teacher import CONFIG, TOKENIZER, ImageParts, Teacher, TextParts
from .wording import reason

_MEAN_STD = ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])
"""BLIP-2 was trained with CLIP's constants, as its processor's configuration says."""


def query_tokens_node(teacher: Teacher, protocol: str, precision: Precision) -> Node:
    """`query_tokens`: the Q-Former's output e_Q (tokens, width), before the language projection."""
    squash = Squash(teacher.vision["image_size"], honour_orientation=protocol == "paper")
    mean_std = _MEAN_STD if protocol == "paper" else None
    spec = {
        "node": "query_tokens",
        "vision": teacher.vision,
        "qformer": teacher.qformer,
        "query_tokens": teacher.query_tokens,
        "weights": _digests(ImageParts(teacher), teacher),
        "protocol": protocol,
        "transform": squash.spec() | {"mean_std": mean_std},
        "precision": {"vision": precision.vision, "residual": "float32", "qformer": "float32"},
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
    weights = _digests(TextParts(teacher), teacher)
    spec = {
        "node": "llm",
        "input": query_tokens.digest,
        "t5": teacher.text,
        "weights": weights,
        "tokenizer": teacher.checkpoint.sha256(TOKENIZER, teacher.hashes),
        "instruction": instruction,
        "pooling": "mean over query and instruction tokens, end-of-sequence included",
        "precision": {"projection": "float32", "t5": precision.t5, "residual": "float32"},
        "stored": "float16",
    }
    return Node(
        name="llm",
        model=teacher.name,
        spec=spec,
        row_shape=(teacher.text["d_model"],),
        input="query_tokens",
        load=partial(TextSide, teacher, weights, instruction, precision),
        untrained=teacher.untrained,
        protocol=query_tokens.protocol,
        instruction=name,
        parent=query_tokens,
    )


def llm_text_node(teacher: Teacher, precision: Precision) -> Node:
    """`llm_text`: a text's embedding (L',) in the space of e_G, the mean of the T5 encoder's output over its tokens.

    The text stands alone: no query tokens come before it. Source: Exp-CLIP, Table 5, which does not say how the text
    is pooled; this is how e_G is.
    """
    weights = _digests(TextParts(teacher), teacher)  # the files of `llm`, so that one T5 a process serves both
    spec = {
        "node": "llm_text",
        "t5": teacher.text,
        "weights": weights,
        "tokenizer": teacher.checkpoint.sha256(TOKENIZER, teacher.hashes),
        "pooling": "mean over the text's tokens, end-of-sequence included",
        "precision": {"t5": precision.t5, "residual": "float32"},
        "stored": "float16",
    }
    return Node(
        name="llm_text",
        model=teacher.name,
        spec=spec,
        row_shape=(teacher.text["d_model"],),
        input="text",
        load=partial(Texts, teacher, weights, precision),
        untrained=teacher.untrained,
    )


def _digests(parts: nn.Module, teacher: Teacher) -> list[str]:
    return teacher.checkpoint.digests(needed(parts, teacher.checkpoint), teacher.hashes)


class ImageSide:
    """Pixels to e_Q: vision tower and Q-Former."""

    def __init__(
        self,
        teacher: Teacher,
        precision: Precision,
        mean_std: tuple[list[float], list[float]] | None,
        device: str,
    ):
        self._products = torch_dtype(precision.vision)
        self._parts = ImageParts(teacher, self._products)
        fill(self._parts, teacher.checkpoint, device)
        self._mean_std = mean_std
        self._device = device

    @torch.inference_mode()
    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        planes = to_planes(pixels, self._device, self._mean_std)
        kind = self._device.partition(":")[0]
        with torch.autocast(kind, dtype=self._products, enabled=self._products != torch.float32):
            seen = self._parts.vision_model(pixel_values=planes).last_hidden_state
        queries = self._parts.query_tokens.expand(len(planes), -1, -1)
        found = self._parts.qformer(query_embeds=queries, encoder_hidden_states=seen.float()).last_hidden_state
        return found.cpu().numpy()


class TextSide:
    """e_Q to e_G under one instruction: language projection and T5 encoder."""

    def __init__(self, teacher: Teacher, weights: Sequence[str], instruction: str, precision: Precision, device: str):
        self._parts = _shared_text_parts(teacher, weights, precision, device)
        ids = torch.tensor(_token_ids(teacher, [instruction]), device=device)
        self._words = self._parts.language_model.shared(ids).float()
        self._device = device

    @torch.inference_mode()
    def __call__(self, query_tokens: np.ndarray) -> np.ndarray:
        queries = self._parts.language_projection(as_tensor(query_tokens).to(self._device, torch.float32))
        # float32 where the T5's products are bfloat16: the residual stream is float32, as in the released code
        tokens = torch.cat([queries, self._words.expand(len(queries), -1, -1)], dim=1)
        return _token_mean(self._parts, tokens)


class Texts:
    """Texts to the T5 encoder's token means, without query tokens."""

    def __init__(self, teacher: Teacher, weights: Sequence[str], precision: Precision, device: str):
        self._parts = _shared_text_parts(teacher, weights, precision, device)
        self._teacher = teacher
        self._device = device

    @torch.inference_mode()
    def __call__(self, texts: list[str]) -> np.ndarray:
        ids = _token_ids(self._teacher, texts)
        found = np.empty((len(texts), self._teacher.text["d_model"]), dtype=np.float32)
        for length in {len(one) for one in ids}:  # texts of one length go together, so that nothing is padded
            rows = [k for k, one in enumerate(ids) if len(one) == length]
            some = torch.tensor([ids[k] for k in rows], device=self._device)
            found[rows] = _token_mean(self._parts, self._parts.language_model.shared(some).float())
        return found


def _token_mean(parts: TextParts, tokens: torch.Tensor) -> np.ndarray:
    """(n, L') float32 from token embeddings (n, tokens, L'): the plain mean of the T5 encoder's output."""
    hidden = parts.language_model(inputs_embeds=tokens).last_hidden_state
    return hidden.mean(dim=1).float().cpu().numpy()


def _token_ids(teacher: Teacher, texts: Sequence[str]) -> list[list[int]]:
    """Each text's tokens, end-of-sequence included. Raises ExpclipError where the tokenizer does not fit."""
    path = teacher.checkpoint.file(TOKENIZER)
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises no type of its own
        raise ExpclipError(f"{path}: this is no tokenizer ({reason(error)}): download it again") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    found = [tokenizer.encode(text).ids for text in texts]
    if any(ids[-1:] != [teacher.end_of_sequence] or max(ids) >= teacher.text["vocab_size"] for ids in found):
        raise ExpclipError(f"{path}: this tokenizer does not belong to the T5 that {CONFIG} describes")
    return found


_text_parts: WeakValueDictionary[str, TextParts] = WeakValueDictionary()
_loading = Lock()


def _shared_text_parts(teacher: Teacher, weights: Sequence[str], precision: Precision, device: str) -> TextParts:
    """One T5 encoder a process, however many instructions use it, and none once no encoder does."""
    key = digest([list(weights), teacher.text, precision.t5, device])
    with _loading:
        parts = _text_parts.get(key)
        if parts is None:
            parts = TextParts(teacher, torch_dtype(precision.t5))
            fill(parts, teacher.checkpoint, device)
            _text_parts[key] = parts
    return parts
