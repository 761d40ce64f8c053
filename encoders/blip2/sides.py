"""BLIP-2's two sides: pixels to query tokens, and query tokens with an instruction to e_G; its T5 alone for texts."""

from collections.abc import Sequence
from threading import Lock
from weakref import WeakValueDictionary

import numpy as np
import torch
from tokenizers import Tokenizer

from ...cache.keys import digest
from ...errors import ExpclipError
from ..configuration import in_one_line
from ..dtypes import torch_dtype
from ..filling import fill
from ..node import Fetch
from ..pixels import to_planes
from ..products import faster_layers
from ..squash import MeanStd
from ..tokenizer_steps import refuse_endless_steps
from ..transfer import fetching, to_device
from .parts import ImageParts, TextParts
from .teacher import CONFIG, TOKENIZER, Teacher


class ImageSide:
    """Pixels to e_Q: vision tower and Q-Former."""

    def __init__(self, teacher: Teacher, dtype: str, mean_std: MeanStd | None, device: str):
        self._products = torch_dtype(dtype)
        self._parts = ImageParts(teacher, self._products)
        fill(self._parts, teacher.checkpoint, device)
        self._mean_std = mean_std
        self._device = device

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        return self.begin(pixels)()

    @torch.inference_mode()
    def begin(self, pixels: np.ndarray) -> Fetch:
        planes = to_planes(pixels, self._device, self._mean_std)
        kind = self._device.partition(":")[0]
        queries = self._parts.query_tokens.expand(len(planes), -1, -1)
        with faster_layers(self._device):
            with torch.autocast(kind, dtype=self._products, enabled=self._products != torch.float32):
                seen = self._parts.vision_model(pixel_values=planes).last_hidden_state
            found = self._parts.qformer(query_embeds=queries, encoder_hidden_states=seen.float()).last_hidden_state
        return fetching(found)


class TextSide:
    """e_Q to e_G under one instruction: language projection and T5 encoder."""

    def __init__(self, teacher: Teacher, dtype: str, instruction: str, device: str):
        self._parts = _shared_text_parts(teacher, dtype, device)
        ids = torch.tensor(_token_ids(teacher, [instruction]), device=device)
        self._words = self._parts.language_model.shared(ids).float()
        self._device = device

    def __call__(self, query_tokens: np.ndarray) -> np.ndarray:
        return self.begin(query_tokens)()

    @torch.inference_mode()
    def begin(self, query_tokens: np.ndarray) -> Fetch:
        queries = self._parts.language_projection(to_device(query_tokens, self._device).float())
        # float32 where the T5's products are bfloat16: the residual stream is float32, as in the released code
        tokens = torch.cat([queries, self._words.expand(len(queries), -1, -1)], dim=1)
        return _token_mean(self._parts, tokens)


class Texts:
    """Texts to the T5 encoder's token means, without query tokens."""

    def __init__(self, teacher: Teacher, dtype: str, device: str):
        self._parts = _shared_text_parts(teacher, dtype, device)
        self._teacher = teacher
        self._device = device

    @torch.inference_mode()
    def __call__(self, texts: list[str]) -> np.ndarray:
        ids = _token_ids(self._teacher, texts)
        found = np.empty((len(texts), self._teacher.text["d_model"]), dtype=np.float32)
        for length in {len(one) for one in ids}:  # texts of one length go together, so that nothing is padded
            rows = [k for k, one in enumerate(ids) if len(one) == length]
            some = torch.tensor([ids[k] for k in rows], device=self._device)
            found[rows] = _token_mean(self._parts, self._parts.language_model.shared(some).float())()
        return found


def _token_mean(parts: TextParts, tokens: torch.Tensor) -> Fetch:
    """(n, L') float32 from token embeddings (n, tokens, L'): the plain mean of the T5 encoder's output."""
    with faster_layers(tokens.device.type):
        hidden = parts.language_model(inputs_embeds=tokens).last_hidden_state
    return fetching(hidden.mean(dim=1))


def _token_ids(teacher: Teacher, texts: Sequence[str]) -> list[list[int]]:
    """Each text's tokens, end-of-sequence included. Raises ExpclipError where the tokenizer does not fit."""
    path = teacher.checkpoint.file(TOKENIZER)
    refuse_endless_steps(path)
    with in_one_line(ExpclipError, f"{path}: not a tokenizer, download it again"):
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        found = [tokenizer.encode(text).ids for text in texts]
    if any(ids[-1:] != [teacher.end_of_sequence] or max(ids) >= teacher.text["vocab_size"] for ids in found):
        raise ExpclipError(f"{path}: this tokenizer does not belong to the T5 that {CONFIG} describes")
    return found


_text_parts: WeakValueDictionary[str, TextParts] = WeakValueDictionary()
_loading = Lock()


def _shared_text_parts(teacher: Teacher, dtype: str, device: str) -> TextParts:
    """One T5 encoder per process, however many instructions use it, and none once no encoder does."""
    key = digest([teacher.text_digests, teacher.text, dtype, device])
    with _loading:
        parts = _text_parts.get(key)
        if parts is None:
            parts = TextParts(teacher, torch_dtype(dtype))
            fill(parts, teacher.checkpoint, device)
            _text_parts[key] = parts
    return parts
