"""What the page shows of a data set under one backbone: its rows, and the few of them that are shown in full."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...heads.choosing import NO_HEAD
from ...heads.kinds import KINDS
from ...heads.recipe import LOGIT_SCALE
from ...reports.legibility import COLOURS
from ...reports.read_predictions import Key
from ...reports.tables import rows_by_head
from ...scoring.scores import Combination, Score

MOST_SHOWN = len(COLOURS)
"""Rows that are shown in full: plain CLIP and the best heads."""


@dataclass(frozen=True, eq=False)
class Row:
    """Scores of one head and one prompt set that differ only in the seed."""

    label: str
    prompts: str
    scores: Sequence[Score]

    @property
    def name(self) -> str:
        """Of the head and the prompts."""
        return f"{self.label} · {self.prompts}"

    @property
    def uar(self) -> float:
        """Mean over seeds, in percent; below all others where there is none."""
        found = np.mean([one.uar for one in self.scores])
        return float(found) if np.isfinite(found) else -1.0

    @property
    def recall(self) -> np.ndarray:
        """(classes,) in 0 … 1, mean over seeds."""
        return np.mean([one.recall for one in self.scores], axis=0)

    @property
    def first(self) -> Score:
        """Of the lowest seed."""
        return min(self.scores, key=lambda one: one.of.seed or 0)

    @property
    def is_zero_shot(self) -> bool:
        """Whether it is the backbone as it is."""
        return is_zero_shot(self.first.of)


def is_zero_shot(of: Combination) -> bool:
    """Whether a combination is a backbone as it is, over which gains are."""
    return of.head == NO_HEAD and of.image == of.text == "clip" and not of.adapted


@dataclass(frozen=True, eq=False)
class Group:
    """What one evaluation says of one data set under one backbone."""

    evaluation: str
    """What the page calls it; empty where it is the only one."""
    dataset: str
    backbone: str
    scores: Sequence[Score]
    """The overall ones."""

    @cached_property
    def rows(self) -> list[Row]:
        """All heads with each of their prompt sets."""
        found = []
        for label, scores in rows_by_head(self.scores).items():
            by_prompts: dict[str, list[Score]] = defaultdict(list)
            for one in scores:
                by_prompts[one.of.prompts].append(one)
            found += [Row(label, prompts, some) for prompts, some in by_prompts.items()]
        return found

    @cached_property
    def shown(self) -> list[Row]:
        """The best row without a head and the best ones with one, each head with its best prompts."""
        best: dict[str, Row] = {}
        for row in sorted(self.rows, key=lambda one: one.uar, reverse=True):
            best.setdefault(row.label, row)
        without = [row for row in best.values() if row.is_zero_shot][:1]
        return [*without, *(row for row in best.values() if not row.is_zero_shot)][:MOST_SHOWN]

    @cached_property
    def pair(self) -> tuple[Score, Score] | None:
        """The backbone without a head, and the best head with the same prompts or with its own; None without one."""
        with_head = [row for row in self.shown if not row.is_zero_shot and row.first.of.head != NO_HEAD]
        without = {row.prompts: row for row in self.rows if row.is_zero_shot}
        if not with_head or not without:
            return None
        best = max(with_head, key=lambda one: one.uar)
        over = without.get(best.prompts) or max(without.values(), key=lambda one: one.uar)
        return over.first, best.first

    @property
    def is_untrained(self) -> bool:
        return any(one.of.untrained for one in self.scores)


def groups(evaluation: str, scores: Iterable[Score]) -> list[Group]:
    """The overall scores of an evaluation by data set and backbone."""
    found: dict[tuple[str, str], list[Score]] = defaultdict(list)
    for one in scores:
        if one.is_overall:
            found[one.of.dataset, one.of.backbone].append(one)
    return [Group(evaluation, *names, some) for names, some in found.items()]


def scale_of(of: Combination) -> float | None:
    """What makes probabilities of similarities; None where that is not known."""
    if of.adapted or (of.image, of.text) != ("clip", "clip"):
        return None
    kind = KINDS.get(of.head.partition(" ")[0])
    if of.head != NO_HEAD and kind is None:
        return None
    return 1.0 if kind and kind.learns_from == "labels" else LOGIT_SCALE


def scales(shown: Iterable[Group]) -> dict[Key, float]:
    """What makes probabilities of the similarities of the rows that are shown in full."""
    of = (score.of for group in shown for row in group.shown for score in row.scores)
    return {Key.of(one): scale for one in of if (scale := scale_of(one)) is not None}
