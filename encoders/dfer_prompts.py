"""What the prompts of DFER-CLIP's released files read, and where its text transformer leads them.

A prompt is its start, vectors that were learnt, and the embeddings of a description. The description can be read
again: each of these embeddings is a row of the table of tokens, to the bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from open_clip.tokenizer import SimpleTokenizer
from open_clip.transformer import QuickGELU, Transformer
from torch.nn.functional import layer_norm, normalize

from ..errors import brief
from .dfer_file import DferFile, Tensors, bits

RELEASED_LENGTHS = (16, 21, 17, 18, 16, 17, 18, 23, 19, 18, 18)
"""Tokens of the released descriptions, in the common order of classes, without start and end."""
_HEAD_WIDTH = 64
_ROWS, _START, _REST = (
    *("clip_model_.token_embedding.weight", "prompt_learner.token_prefix", "prompt_learner.token_suffix"),
)


@dataclass(frozen=True)
class ReadPrompt:
    """What the description in a prompt says."""

    tokens: tuple[int, ...]
    """Without start, end and padding."""

    @property
    def text(self) -> str:
        return _tokenizer().decode(self.tokens).strip()


def read_prompts(file: DferFile, classes: Sequence[str]) -> list[ReadPrompt]:
    """The description of each class. Raises ValueError where a file has other embeddings than tokens have."""
    table, words = file.clip["token_embedding.weight"], _tokenizer()
    if len(table) != words.vocab_size:
        raise ValueError(f"{_ROWS} has {len(table):,} rows, and CLIP's tokenizer {words.vocab_size:,} tokens")
    rows = _Rows(table, torch.cat([file.start, file.rest], dim=1).flatten(0, 1))
    return [
        _read(name, rows.tokens(start), rows.tokens(rest))
        for name, start, rest in zip(classes, file.start, file.rest, strict=True)
    ]


def _read(name: str, start: Sequence[int | None], rest: Sequence[int | None]) -> ReadPrompt:
    first, last = _tokenizer().sot_token_id, _tokenizer().eot_token_id
    if list(start) != [first]:
        raise ValueError(f"{_START} of {name} is not the embedding of the start of a text")
    for k, token in enumerate(rest, 1):
        if token is None:
            raise ValueError(f"{_REST} of {name}: its {k}. row is none of {_ROWS}")
    known = [token for token in rest if token is not None]
    end = known.index(last) if last in known else 0
    if not end or first in known or any(known[end + 1 :]):
        raise ValueError(f"{_REST} of {name} is not made of words, one end of a text and padding")
    return ReadPrompt(tuple(known[:end]))


class _Rows:
    """Which rows of a table some vectors are."""

    def __init__(self, table: torch.Tensor, vectors: torch.Tensor):
        """From a table (tokens, W) and vectors (n, W) that will be asked for; rows that are equal are the first."""
        wanted = {row.tobytes() for row in bits(vectors).numpy()}
        self._of: dict[bytes, int] = {}
        for token, row in enumerate(bits(table).numpy()):
            if (key := row.tobytes()) in wanted:
                self._of.setdefault(key, token)

    def tokens(self, vectors: torch.Tensor) -> list[int | None]:
        return [self._of.get(row.tobytes()) for row in bits(vectors).numpy()]


def tokens_of(text: str) -> tuple[int, ...]:
    """The tokens that CLIP reads of a text, without start and end."""
    return tuple(_tokenizer().encode(text))


@cache
def _tokenizer() -> SimpleTokenizer:
    return SimpleTokenizer()


@torch.inference_mode()
def directions(file: DferFile, prompts: Sequence[ReadPrompt]) -> np.ndarray:
    """(classes, L) float32 of length one: where the text transformer leads the prompts.

    A token sees only those before it, so that nothing behind the longest end is computed. Raises ValueError where no
    directions follow.
    """
    ends = [1 + file.context.shape[1] + len(one.tokens) for one in prompts]
    length = max(ends) + 1
    clip = {name: value.float() for name, value in file.clip.items() if not name.startswith("visual.")}
    x = torch.cat([file.start, file.context, file.rest], dim=1)[:, :length].float()
    mask = torch.full((length, length), -torch.inf).triu(1)
    x = _transformer(clip)(x + clip["positional_embedding"][:length], attn_mask=mask)
    x = layer_norm(x, x.shape[-1:], clip["ln_final.weight"], clip["ln_final.bias"])
    found = normalize(x[torch.arange(len(x)), ends] @ clip["text_projection"], dim=1)
    if not found.isfinite().all() or not found.norm(dim=1).gt(0.5).all():
        raise ValueError(f"its prompts lead to no directions: {brief(found.norm(dim=1).tolist())}")
    return found.numpy()


def _transformer(clip: Tensors) -> Transformer:
    weights = {
        name.removeprefix("transformer."): value for name, value in clip.items() if name.startswith("transformer.")
    }
    width, layers = clip["ln_final.weight"].shape[0], len({name.split(".")[1] for name in weights})
    with torch.device("meta"):
        made = Transformer(width, layers, width // _HEAD_WIDTH, act_layer=QuickGELU)
    made.load_state_dict(weights, strict=True, assign=True)
    return made.eval()
