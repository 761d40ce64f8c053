"""BERT's word pieces: from texts to the tokens that FLAVA reads."""

import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from ...errors import ExpclipError, reason
from ...untrusted import read_text
from ..checkpoint import Checkpoint
from ..configuration import FLAG, NOTHING, checked, in_one_line, read_object, require_vocabulary
from ..node import Reading
from ..tokenizer_steps import refuse_endless_steps
from .flava_model import TOKENIZER, TOKENIZER_CONFIG, FlavaModel

_FIRST, _LAST, _UNKNOWN = "[CLS]", "[SEP]", "[UNK]"
_SPECIAL = ("[PAD]", _UNKNOWN, _FIRST, _LAST, "[MASK]")
_SPELLING = {"do_lower_case": FLAG, "strip_accents": NOTHING | FLAG, "tokenize_chinese_chars": FLAG}


def read_texts(model: FlavaModel, texts: Sequence[str]) -> list[Reading]:
    """What FLAVA reads of texts: the first token, as many pieces as it has places for, and the last token.

    Raises ExpclipError where the tokenizer is no BERT's, or has more words than the model.
    """
    path = model.checkpoint.file(next(iter(model.tokenizer))) if model.checkpoint else None
    with in_one_line(ExpclipError, f"{path}: not a tokenizer of FLAVA, download it again"):
        tokenizer = _tokenizer(model.checkpoint, path)
        tokenizer.no_padding()
        tokenizer.enable_truncation(model.text["max_position_embeddings"])
        ends = tokenizer.token_to_id(_FIRST), tokenizer.token_to_id(_LAST)
        found = [tokenizer.encode(text) for text in texts]
    if not all(one.ids and (one.ids[0], one.ids[-1]) == ends for one in found):
        raise ExpclipError(
            f"{path}: this tokenizer is no BERT's: a text must begin with {_FIRST} and end with {_LAST}"
        )
    words = model.text["vocab_size"]
    if any(max(one.ids) >= words for one in found):
        raise ExpclipError(
            f"{path}: this tokenizer has words beyond the {words:,} of the model: they do not belong together"
        )
    return [Reading(tuple(one.ids), bool(one.overflowing)) for one in found]


def _tokenizer(checkpoint: Checkpoint | None, path: Path | None) -> Tokenizer:
    if checkpoint is None or path is None:
        return _of_pieces(_letters(), {})
    if path.name == TOKENIZER:
        refuse_endless_steps(path)
        return Tokenizer.from_file(str(path))
    require_vocabulary(path)
    spelling = checkpoint.here(TOKENIZER_CONFIG)
    said = checked(read_object(spelling), _SPELLING, str(spelling), ignore_others=True) if spelling else {}
    return _of_pieces(_pieces(path), said)


def _pieces(path: Path) -> dict[str, int]:
    """The words of a vocabulary, one a line, numbered in their order; a line's own spaces belong to its word."""
    try:
        lines = read_text(path).split("\n")
    except (OSError, ValueError) as error:
        raise ExpclipError(f"{path}: not a vocabulary ({reason(error)}): download it again") from error
    return {line.rstrip("\r"): number for number, line in enumerate(lines[:-1] if lines[-1] == "" else lines)}


def _letters() -> dict[str, int]:
    """A vocabulary without words, for random weights, which know none."""
    letters = string.ascii_lowercase + string.digits + string.punctuation
    return {piece: k for k, piece in enumerate([*_SPECIAL, *letters, *(f"##{letter}" for letter in letters)])}


def _of_pieces(pieces: dict[str, int], said: dict[str, Any]) -> Tokenizer:
    """BERT's tokenizer of a vocabulary, as the library makes it. Raises ValueError where it lacks a special token."""
    lacking = [token for token in (_FIRST, _LAST, _UNKNOWN) if token not in pieces]
    if lacking:
        raise ValueError(f"it lacks {lacking[0]}")
    tokenizer = Tokenizer(models.WordPiece(pieces, unk_token=_UNKNOWN))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=said.get("tokenize_chinese_chars", True),
        strip_accents=said.get("strip_accents"),
        lowercase=said.get("do_lower_case", True),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens([token for token in _SPECIAL if token in pieces])
    ends = [(token, pieces[token]) for token in (_FIRST, _LAST)]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{_FIRST} $A {_LAST}", special_tokens=ends)
    return tokenizer
