"""Which heads of a cache a row of the paper's tables means: they are found by what their cards say."""

from dataclasses import replace
from typing import Any

from ...commands.reproduce import Reproduce
from ...encoders.families import usual_protocol
from ...errors import UsageError
from ...heads.kept import heads_in
from ...heads.saving import HeadCard, load_head
from ...manifests.paper import RowOfPaper
from ...pipeline.left_out import note_damaged, note_unusable
from ...pipeline.needs import canonical_model
from ...pipeline.rereading import known_manifest
from ...pipeline.workspace import Workspace
from ..optimiser import optimiser_of
from .requests import fit_request


class PaperHeads:
    """The heads of a cache, by the rows that they belong to."""

    def __init__(self, workspace: Workspace, request: Reproduce):
        self._request = request
        self._workspace = workspace
        kept, damaged = heads_in(workspace.cache.heads)
        note_damaged(workspace, damaged)
        self._kept = {card.id: (path, card) for path, card in kept}
        self._usable: dict[str, bool] = {}
        self._teacher = canonical_model("llm", request.teacher)
        self._train = Taught(workspace, request.train)

    def fitting(self, row: RowOfPaper, instruction: str) -> list[HeadCard]:
        """All heads of a row under one of its instructions, however they were trained."""
        of_row: dict[str, Any] = {"head": row.head, "objective": row.objective, "instruction": instruction}
        of_row |= {"teacher": self._teacher, "backbone": canonical_model("clip_image", row.backbone)}
        wanted = of_row | {"protocol": self._request.protocol or usual_protocol("clip", row.backbone)}
        cards = [card for _, card in self._kept.values()]
        found = [card for card in cards if all(getattr(card, name) == wanted[name] for name in wanted)]
        return [card for card in found if self._train.by(card) and self._is_usable(card)]

    def _is_usable(self, card: HeadCard) -> bool:
        """Whether a head loads; one that does not is left out."""
        if card.id not in self._usable:
            try:
                load_head(*self._kept[card.id])
                self._usable[card.id] = True
            except UsageError as error:
                note_unusable(self._workspace, card, error)
                self._usable[card.id] = False
        return self._usable[card.id]

    def by_seed(self, row: RowOfPaper) -> list[tuple[HeadCard, ...]]:
        """For each seed the heads whose scores are averaged: one per instruction.

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
            command = fit_request(self._request, [replace(row, instructions=(instruction,))]).command()
            raise UsageError(f"there is no such head: run `{command}`")
        best = min(_rank(card, self._request) for card in fitting)
        chosen = [card for card in fitting if _rank(card, self._request) == best]
        if len({card.recipe for card in chosen}) > 1:
            ids = ", ".join(card.id for card in chosen)
            raise UsageError(
                f"heads of several recipes fit, which are not averaged ({ids}): keep those that are meant"
            )
        return {card.seed: card for card in sorted(chosen, key=lambda card: card.seed or 0)}


class Taught:
    """Which heads were fitted to a train set."""

    def __init__(self, workspace: Workspace, dataset: str):
        self._cache = workspace.cache
        self._folder = workspace.dataset(dataset).folder
        manifest = known_manifest(workspace, dataset)
        self._rows = manifest.rows.digest if manifest else ""

    def by(self, card: HeadCard) -> bool:
        """Whether a head was fitted to these rows; where its features are gone, its card says to which data set."""
        key = card.spec.get("clip_image")
        features = self._cache.of_key("clip_image", key) if key else None
        if features is None:
            return card.train == self._folder
        return features.path.parent.name == self._folder or features.header.rows_digest == self._rows


def _rank(card: HeadCard, request: Reproduce) -> int:
    """Trained here with the defaults; not trained here or not step by step; trained in another way."""
    is_trained_here = "optimiser" in card.spec and not card.imported
    return 2 if unusual(card, request) else 0 if is_trained_here else 1


def unusual(card: HeadCard, request: Reproduce) -> str:
    """How a head's training differs from the defaults; empty where it does not, or where it was not trained here."""
    used = card.spec.get("optimiser") or {}
    usual = optimiser_of(
        fit_request(request, [RowOfPaper("", "", objective=card.objective)]), card.teacher, card.head
    )
    changed = [name for name in used if used[name] != usual.get(name)]
    return ", ".join(f"{name} {used[name]} (default {usual.get(name)})" for name in changed)
