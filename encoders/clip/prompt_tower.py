"""CLIP's text tower with a way in behind its token embeddings, for prompts that are partly learnt.

Its weights stay as they are; what is put in has gradients.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from ...errors import UsageError, option
from ..products import faster_layers


class PromptTower:
    """An open_clip text tower that reads from left to right."""

    def __init__(self, name: str, model: Any, tokenize: Any, device: str):
        """`model` is an open_clip model, `tokenize` its tokenizer. Raises UsageError for a tower of another kind."""
        self._text = getattr(model, "text", model)  # a CLIP has the parts of its text tower itself
        self._pools_by = getattr(self._text, "pool_type", getattr(model, "text_pool_type", ""))
        self._tokenize, self._device = tokenize, device
        mask = getattr(self._text, "attn_mask", None)
        if (
            mask is None
            or getattr(self._text, "cls_emb", None) is not None
            or self._pools_by not in ("argmax", "eos")
        ):
            raise UsageError(
                f"{option('clip')} {name}: prompts are learnt through a text tower that reads from left to right and "
                f"ends with a token, and this has none: choose another, or {option('text')} fixed"
            )
        self._mask = mask
        (empty,) = self._between(tokenize([""]))
        self._starts = len(empty)  # tokens in front of every text: one, or none

    @property
    def context_length(self) -> int:
        """Tokens that it reads, with those at the start and the end."""
        return len(self._mask)

    def words(self, texts: Sequence[str]) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
        """The token embeddings (n, W) of each text, of what stands before all (s, W), and of their end (1, W)."""
        tokens = self._tokenize(list(texts)).to(self._device)
        ends = self._ends(tokens).tolist()
        embedded = self._text.token_embedding(tokens).detach().float()
        inner = [row[self._starts : end] for row, end in zip(embedded, ends, strict=True)]
        return inner, embedded[0, : self._starts], embedded[0, ends[0]][None]

    def encode(self, embedded: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
        """(K, L) embeddings, not normalised, of token sequences (K, T, W) that end at the places `ends` (K,)."""
        text, t = self._text, embedded.shape[1]
        with faster_layers(self._device):
            x = embedded + text.positional_embedding[:t]
            x = text.transformer(x, attn_mask=self._mask[:t, :t])
            x = text.ln_final(x[torch.arange(len(x), device=x.device), ends])
            projection = text.text_projection
            if projection is None:
                return x
            return projection(x) if isinstance(projection, nn.Linear) else x @ projection

    def _between(self, tokens: torch.Tensor) -> list[torch.Tensor]:
        return [row[:end] for row, end in zip(tokens, self._ends(tokens).tolist(), strict=True)]

    def _ends(self, tokens: torch.Tensor) -> torch.Tensor:
        """(K,) the places of the end tokens, which are found as the tower finds them."""
        if self._pools_by == "argmax":
            return tokens.argmax(dim=1)
        eos = getattr(self._text, "eos_id", getattr(self._text, "text_eos_id", None))
        return (tokens == eos).int().argmax(dim=1)
