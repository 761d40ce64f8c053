"""DFER-CLIP's table: its published numbers, and beside them what heads of its kind score on a frozen CLIP."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from ...commands.evaluate import RESULTS
from ...commands.fit_head import FitHead
from ...commands.reproduce import Reproduce, Step
from ...encoders.families import usual_protocol
from ...errors import ExpclipError, UsageError, one_of, option
from ...heads.card import HeadCard
from ...heads.kept import heads_in
from ...manifests.dfer_paper import BACKBONE, COLUMNS, COMPUTED, DFER, FRAMES, NOTES, TITLE, Computed, published_rows
from ...manifests.paper import RowOfPaper, published_score
from ...pipeline.needs import Need, canonical_model, extract_command, is_there
from ...pipeline.workspace import Workspace
from ...reports.paper_tables import Cell, FilledRow, FilledTable
from ...reports.tables import UNTRAINED_NOTE
from ...scoring.scores import Score
from ..evaluate.evaluate import evaluate
from .dfer_files import files_rows
from .known_heads import Taught, unusual
from .requests import evaluate_request

_TRAIN = ":train"


def dfer_table(workspace: Workspace, request: Reproduce) -> tuple[FilledTable, tuple[Step, ...]]:
    """The table, and the commands that make what is computed in it; runs no model and trains nothing."""
    columns = COLUMNS if request.test == type(request)().test else request.test
    for test in columns:
        _refuse_without_train(workspace, test)
    request = replace(request, test=columns, frames=FRAMES)
    every = [_Ours(workspace, request, kind, clip) for kind in COMPUTED for clip in request.clip or (BACKBONE,)]
    ours = [one for one in every if one.kind is COMPUTED[0] or one.has_heads]
    published = [FilledRow(row, tuple(_cell(row, test) for test in columns), row.remark) for row in published_rows()]
    shown = [one for one in published if any(cell.published for cell in one.cells)]
    rows = (*shown, *files_rows(workspace, request), *(one.filled for one in ours))
    untrained = any(one.untrained for one in ours)
    notes = (*NOTES, *([UNTRAINED_NOTE] if untrained else []))
    return FilledTable(DFER, TITLE, rows, notes, untrained), tuple(
        step for one in ours if one.kind is COMPUTED[0] for step in one.steps
    )


def _refuse_without_train(workspace: Workspace, dataset: str) -> None:
    entry = workspace.dataset(dataset).ref.entry
    if entry is None or entry.kind != "clips" or "train" not in entry.splits:
        raise UsageError(
            f"{option('test')} {dataset}: a column of the table {DFER} is a data set of clips with a train part that "
            f"has a name, such as {one_of(COLUMNS)}"
        )


def _cell(row: RowOfPaper, dataset: str) -> Cell:
    return Cell(dataset, published=published_score(row, dataset), why_not=row.why_not)


@dataclass(frozen=True, eq=False)
class _Ours:
    """A row that is computed, of heads that learnt from the train part of each column."""

    workspace: Workspace
    request: Reproduce
    kind: Computed
    backbone: str

    @property
    def row(self) -> RowOfPaper:
        return self.kind.row(self.backbone)

    @property
    def has_heads(self) -> bool:
        """Whether the cache has any for it."""
        return any(self._heads.values())

    @cached_property
    def _heads(self) -> dict[str, list[HeadCard]]:
        """By column, however they were trained."""
        kept, _ = heads_in(self.workspace.cache.heads)
        return {test: self._fitting(test, [card for _, card in kept]) for test in self.request.test}

    def _fitting(self, dataset: str, cards: Sequence[HeadCard]) -> list[HeadCard]:
        wanted = {
            "name": self.kind.name,
            "imported": False,
            "backbone": canonical_model("clip_image", self.backbone),
            "protocol": self.request.protocol or usual_protocol("clip", self.backbone),
        }
        found = [card for card in cards if all(getattr(card, name) == wanted[name] for name in wanted)]
        taught = Taught(self.workspace, f"{dataset}{_TRAIN}") if found else None
        return [
            card
            for card in found
            if card.spec.get("frames") == FRAMES and not card.spec.get("balanced") and taught and taught.by(card)
        ]

    def _by_seed(self, dataset: str) -> list[HeadCard]:
        """Those that are meant. Raises UsageError where there are none, or of several recipes."""
        found = self._heads[dataset]
        if not found:
            raise UsageError(f"there is no such head: run `{self._fit(dataset).command()}`")
        chosen = [card for card in found if not unusual(card, self.request)] or found
        if len({card.recipe for card in chosen}) > 1:
            ids = ", ".join(card.id for card in chosen)
            raise UsageError(
                f"heads of several recipes fit, which are not averaged ({ids}): keep those that are meant"
            )
        return sorted(chosen, key=lambda card: card.seed or 0)

    @cached_property
    def _scores(self) -> dict[str, list[Score] | str]:
        """By column those of each seed, or why there are none."""
        return {test: self._scored(test) for test in self.request.test}

    def _scored(self, dataset: str) -> list[Score] | str:
        try:
            heads = tuple(card.id for card in self._by_seed(dataset))
            asked = self._evaluation((dataset,), heads, cached_only=True, intervals=False)
            scores = evaluate(asked, self.workspace.said).scores
        except ExpclipError as error:
            return error.as_typed
        found = {score.of.head_id: score for score in scores if score.is_overall}
        return [found[head] for head in heads]

    def _evaluation(self, datasets: Sequence[str], heads: tuple[str, ...], **how: object):
        known = {"clip": (self.backbone,), "prompts": (self.row.prompts,), "head": heads}
        return evaluate_request(self.request, datasets, **known, **how)

    def _fit(self, dataset: str) -> FitHead:
        return FitHead(
            train=f"{dataset}{_TRAIN}",
            clip=(self.backbone,),
            head=(self.kind.head,),
            text=self.kind.text,
            frames=FRAMES,
            protocol=self.request.protocol,
            cache=self.request.cache,
        )

    @property
    def untrained(self) -> bool:
        scored = [some for some in self._scores.values() if not isinstance(some, str)]
        return any(score.of.untrained for some in scored for score in some)

    @property
    def filled(self) -> FilledRow:
        differences = dict.fromkeys(unusual(card, self.request) for some in self._heads.values() for card in some)
        remark = "; ".join(f"fitted with {difference}" for difference in differences if difference)
        return FilledRow(self.row, tuple(self._cell(test) for test in self.request.test), remark)

    def _cell(self, dataset: str) -> Cell:
        found = self._scores[dataset]
        if isinstance(found, str):
            return Cell(dataset, why_not=found)
        return Cell(dataset, tuple(one.uar for one in found), tuple(one.war for one in found))

    @property
    def steps(self) -> list[Step]:
        """Extract both parts of each column, fit a head to each train part, and score."""
        tests, request = self.request.test, self.request
        parts = [part for test in tests for part in (test, f"{test}{_TRAIN}")]
        how = {"protocol": request.protocol, "dtype": request.dtype, "frames": FRAMES}
        needs = [Need(part, "clip_image", self.backbone, **how) for part in parts]
        have = sum(is_there(self.workspace, need) for need in needs)
        fits = [self._fit(test) for test in tests]
        fitted = [{card.seed for card in self._heads[test]} for test in tests]
        scored = sum(not isinstance(found, str) for found in self._scores.values())
        evaluation = self._evaluation(tests, (f"kind={self.kind.head}",), out=RESULTS)
        return [
            Step(extract_command(self.workspace, needs), "stores", have, len(needs)),
            *(
                Step(fit.command(), "heads", len(seeds & {*fit.seed}), len(fit.seed))
                for fit, seeds in zip(fits, fitted, strict=True)
            ),
            Step(evaluation.command(), "columns", scored, len(tests)),
        ]
