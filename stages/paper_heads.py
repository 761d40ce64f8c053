"""Which heads of a cache a row of the paper's tables means: they are found by what their cards say."""

from dataclasses import replace
from typing import Any

from ..encoders.names import clip_name, teacher_name
from ..errors import UsageError
from ..heads.files import HeadCard, all_heads
from ..manifests.paper import RowOfPaper
from .fit_head import Training
from .paper_setting import Setting
from .workspace import Workspace


class PaperHeads:
    """The heads of a cache, by the rows that they belong to."""

    def __init__(self, workspace: Workspace, setting: Setting):
        self._setting = setting
        self._cards = [card for _, card in all_heads(workspace.cache.heads)]
        self._same = {
            "teacher": teacher_name(setting.teacher).canonical,
            "protocol": workspace.protocol,
            "train": workspace.dataset(setting.train).name,
        }

    def fitting(self, row: RowOfPaper, instruction: str) -> list[HeadCard]:
        """All heads of a row under one of its instructions, however they were trained."""
        of_row: dict[str, Any] = {"head": row.head, "objective": row.objective, "instruction": instruction}
        wanted = self._same | of_row | {"backbone": clip_name(row.backbone).canonical}
        return [card for card in self._cards if all(getattr(card, name) == wanted[name] for name in wanted)]

    def by_seed(self, row: RowOfPaper) -> list[tuple[HeadCard, ...]]:
        """For each seed the heads whose scores are averaged: one an instruction.

        Of heads that differ in more than the seed, those that were trained with the defaults are meant. Raises
        UsageError where there is none, or where several recipes are left.
        """
        if not row.needs_head:
            return []
        found = [self._of_one_recipe(row, instruction) for instruction in row.instructions]
        common = [seed for seed in found[0] if all(seed in one for one in found)]
        if not common:
            raise UsageError(f"no seed has a head under each of {', '.join(row.instructions)}: fit the same seeds")
        return [tuple(one[seed] for one in found) for seed in common]

    def _of_one_recipe(self, row: RowOfPaper, instruction: str) -> dict[int | None, HeadCard]:
        fitting = self.fitting(row, instruction)
        if not fitting:
            command = self._setting.fit_command([replace(row, instructions=(instruction,))])
            raise UsageError(f"there is no such head: run `{command}`")
        best = min(map(_rank, fitting))
        chosen = [card for card in fitting if _rank(card) == best]
        if len({card.recipe for card in chosen}) > 1:
            ids = ", ".join(card.id for card in chosen)
            raise UsageError(
                f"heads of several recipes fit, which are not averaged ({ids}): keep those that are meant"
            )
        return {card.seed: card for card in sorted(chosen, key=lambda card: card.seed or 0)}


def _rank(card: HeadCard) -> int:
    """Trained here with the defaults; not trained here or not step by step; trained in another way."""
    return 2 if unusual(card) else 0 if "optimiser" in card.spec else 1


def unusual(card: HeadCard) -> str:
    """How a head's training differs from the defaults; empty where it does not, or where it was not trained here."""
    used = card.spec.get("optimiser", {})
    usual = Training().resolved(card.objective, card.teacher).optimiser()
    changed = [name for name in used if used[name] != usual.get(name)]
    return ", ".join(f"{name} {used[name]} (default {usual.get(name)})" for name in changed)
