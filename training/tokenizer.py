"""A small byte-level BPE in lower case, with T5's special tokens."""

from collections.abc import Sequence

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor

SPECIAL = "<pad>", "</s>", "<unk>", "<image>"
PAD, EOS, UNKNOWN, IMAGE = range(4)


def make_tokenizer(texts: Sequence[str], vocabulary: int) -> Tokenizer:
    """Learn the merges from texts; every encoding ends with the end-of-sequence token."""
    tokenizer = Tokenizer(models.BPE(unk_token=SPECIAL[UNKNOWN]))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {SPECIAL[EOS]}", special_tokens=[(SPECIAL[EOS], EOS)]
    )
    return tokenizer


def ids_of(tokenizer: Tokenizer, texts: Sequence[str], length: int) -> Tensor:
    """(n, length) token ids, padded; what is longer loses its middle, not its end-of-sequence."""
    ids = torch.full((len(texts), length), PAD)
    for row, encoding in enumerate(tokenizer.encode_batch(list(texts))):
        kept = encoding.ids if len(encoding.ids) <= length else [*encoding.ids[: length - 1], EOS]
        ids[row, : len(kept)] = torch.tensor(kept)
    return ids
