"""Learnt contexts: vectors that stand in a prompt where words would, as CoOp and DFER-CLIP learn them.

Sources: Zhou et al., IJCV 2022 (CoOp); Zhao and Patras, BMVC 2023 (DFER-CLIP), and their released code.
"""

import torch
from torch.nn.functional import normalize
from torch.nn.utils.rnn import pad_sequence

from ..errors import UsageError, option
from .clip_recipe import PER_CLASS, ClassTexts, Contexts, Tower

STD = 0.02
"""Of the numbers that contexts start from."""


def words_read(tower: Tower, contexts: Contexts) -> int:
    """How many tokens of a class's words are read beside a context. Raises UsageError where none is."""
    _, start, _ = tower.words([""])
    room = tower.context_length - len(start) - contexts.tokens - 1
    if room < 1:
        raise UsageError(
            f"{option('context_tokens')} {contexts.tokens}: {tower.context_length} tokens are read, and the words of "
            f"a class need some: give fewer"
        )
    return room


class LearntPrompts:
    """The prompts of some classes with contexts in them.

    A prompt is start, context and words, end, and nothing behind it: the tower reads from left to right, so that what
    it makes of the end token does not depend on what would follow.
    """

    def __init__(self, of: ClassTexts, contexts: Contexts):
        """Words that are not read behind a context are cut. Raises UsageError where none would be."""
        self._tower, self._contexts = of.tower, contexts
        words, start, end = of.tower.words(of.texts)
        room = words_read(of.tower, contexts)
        words = [one[:room] for one in words]
        n, (before, after) = contexts.tokens, _split(contexts)
        lengths = [len(start) + n + len(one) + 1 for one in words]
        gap = start.new_zeros(n, start.shape[1])
        rows = [torch.cat([start, gap[:before], one, gap[:after], end]) for one in words]
        self._sequences = pad_sequence(rows, batch_first=True)
        self._ends = torch.tensor(lengths, device=start.device) - 1
        places = [_places(len(start), len(one), before, after) for one in words]
        self._places = torch.tensor(places, device=start.device)

    def initial(self, generator: torch.Generator | None) -> torch.Tensor:
        """(classes, tokens, W) numbers to start from; (1, tokens, W) where all classes have the same."""
        sets = len(self._sequences) if self._contexts.per == PER_CLASS else 1
        drawn = torch.empty(sets, self._contexts.tokens, self._sequences.shape[2])
        return drawn.normal_(std=STD, generator=generator)

    def sequences(self, context: torch.Tensor) -> torch.Tensor:
        """(classes, T, W) token embeddings with the context in its places."""
        count = len(self._sequences)
        classes = torch.arange(count, device=context.device)[:, None].expand_as(self._places)
        return self._sequences.index_put((classes, self._places), context.expand(count, -1, -1))

    def directions(self, context: torch.Tensor) -> torch.Tensor:
        """(classes, L) unit vectors of the prompts, with gradients for the context."""
        return normalize(self._tower.encode(self.sequences(context), self._ends), dim=1)


def _split(contexts: Contexts) -> tuple[int, int]:
    """How many context tokens stand before the words of a class, and behind them."""
    before = {"end": contexts.tokens, "middle": contexts.tokens // 2, "front": 0}[contexts.position]
    return before, contexts.tokens - before


def _places(start: int, words: int, before: int, after: int) -> list[int]:
    """Where the context is in a prompt."""
    behind = start + before + words
    return [*range(start, start + before), *range(behind, behind + after)]
