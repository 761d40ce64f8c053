"""`expclip reproduce`: the paper's tables from the cache, the published numbers beside, and what is missing."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from ..cache.files import writing
from ..errors import UsageError
from ..heads.files import HeadCard
from ..manifests.paper import RowOfPaper, paper_table, paper_tables, published_score, rows_of
from ..manifests.prompts import prompt_set
from ..reports.paper import Cell, FilledRow, FilledTable, as_markdown
from ..reports.scores import ALL, MEAN, Score
from ..reports.tables import UNTRAINED_NOTE
from .evaluate import evaluate
from .paper_heads import PaperHeads, unusual
from .paper_setting import Setting
from .paper_steps import Step, paper_steps
from .scoring import NO_HEAD, Scoring
from .workspace import Workspace

_DETERMINISTIC = "The paper's teacher ran with dropout, as its code leaves it in training mode; here it does not."


@dataclass(frozen=True)
class Reproduction:
    """Tables with our numbers, and the commands behind them."""

    steps: tuple[Step, ...]
    tables: tuple[FilledTable, ...]


def reproduce(
    workspace: Workspace, tables: Sequence[str] = (), setting: Setting | None = None, out: Path | None = None
) -> Reproduction:
    """Fill tables of the paper (all by default) with what the cache gives; runs no model and trains nothing.

    A cell that cannot be computed says why. Writes `tables.md` to `out`. Raises UsageError for an unknown table,
    model or training set, and where a head cannot be read.
    """
    setting = setting or Setting()
    if out is not None and out.exists() and not out.is_dir():
        raise UsageError(f"--out {out}: this is a file; a folder is needed")
    rows = {name: rows_of(name, setting.clips) for name in dict.fromkeys(tables or paper_tables())}
    ours = [row for some in rows.values() for row in some if not row.why_not]
    known = PaperHeads(workspace, setting)
    scores = _Scores(workspace, setting, known, ours)
    filled = tuple(_fill(name, some, setting, scores) for name, some in rows.items())
    done = Reproduction(paper_steps(workspace, setting, known, ours), filled)
    if out is not None:
        with writing(out):
            out.mkdir(parents=True, exist_ok=True)
            steps = [(step.command, step.state) for step in done.steps]
            (out / "tables.md").write_text(as_markdown(done.tables, steps), encoding="utf-8")
    return done


@dataclass(frozen=True)
class _Asked:
    """One row's scores on one data set."""

    dataset: str
    row: RowOfPaper
    heads: list[tuple[HeadCard, ...]]
    """For each seed the heads whose scores are averaged; empty for a row without heads."""


class _Scores:
    """The scores of rows on all test sets, and why there is none."""

    def __init__(self, workspace: Workspace, setting: Setting, known: PaperHeads, rows: Iterable[RowOfPaper]):
        self._workspace = workspace
        self._setting = setting
        self._why: dict[tuple[str, RowOfPaper], str] = {}
        self._found: dict[tuple[str, RowOfPaper], list[list[Score]]] = {}
        self.heads: dict[RowOfPaper, list[tuple[HeadCard, ...]]] = {}
        groups: dict[tuple[str, ...], list[_Asked]] = defaultdict(list)
        for row in dict.fromkeys(rows):
            try:
                self.heads[row] = known.by_seed(row)
            except UsageError as error:
                self._why |= {(dataset, row): str(error) for dataset in setting.tests}
                continue
            for dataset in setting.tests:
                asked = _Asked(dataset, row, self.heads[row])
                groups[dataset, row.backbone, row.image, row.text].append(asked)
        for group in groups.values():
            self._score(group)

    def why_not(self, dataset: str, row: RowOfPaper) -> str:
        """Why a row has no score on a data set; empty where it has."""
        return row.why_not or self._why.get((dataset, row), "")

    def of(self, dataset: str, row: RowOfPaper) -> list[list[Score]]:
        """For each seed the scores that are averaged: one an instruction. Empty where there is none."""
        return self._found.get((dataset, row), [])

    def _score(self, group: Sequence[_Asked]) -> None:
        """Score rows that share data set, backbone and sides: together, or where one cannot be, one by one."""
        try:
            found = self._evaluate(group)
        except UsageError as error:
            if len(group) == 1:
                self._why[group[0].dataset, group[0].row] = str(error)
            for asked in group if len(group) > 1 else ():
                self._score([asked])
            return
        for asked in group:
            row = asked.row
            prompts = prompt_set(row.prompts, self._workspace.protocol).name
            keys = [[(prompts, card.id, card.instruction) for card in seed] for seed in asked.heads]
            keys = keys or [[(prompts, "", name) for name in row.instructions or ("",)]]
            self._found[asked.dataset, row] = [[found[key] for key in seed] for seed in keys]

    def _evaluate(self, group: Sequence[_Asked]) -> dict[tuple[str, str, str], Score]:
        """Scores by prompt set, head and instruction."""
        row = group[0].row
        plain = [NO_HEAD] if any(not asked.row.needs_head for asked in group) else []
        scoring = Scoring(
            clips=[row.backbone],
            heads=[*plain, *(card.id for asked in group for seed in asked.heads for card in seed)],
            prompts=[asked.row.prompts for asked in group],
            frames=self._setting.frames,
            cached_only=True,
            images=[row.image],
            texts=[row.text],
            teacher=self._setting.teacher,
            instructions=[name for asked in group for name in asked.row.instructions],
            intervals=False,
        )
        scores = evaluate(self._workspace, [group[0].dataset], scoring).scores
        overall = [score for score in scores if score.fold in (ALL, MEAN)]
        return {(score.of.prompts, score.of.head_id, score.of.instruction): score for score in overall}


def _fill(name: str, rows: Sequence[RowOfPaper], setting: Setting, scores: _Scores) -> FilledTable:
    table = paper_table(name)
    filled = [
        FilledRow(row, tuple(_cell(dataset, row, setting, scores) for dataset in setting.tests), _remark(row, scores))
        for row in rows
    ]
    shown = [one for one in filled if not one.row.why_not or any(cell.published for cell in one.cells)]
    behind = [one for row in rows for test in setting.tests for seed in scores.of(test, row) for one in seed]
    untrained = any(score.of.untrained for score in behind)
    notes = (
        *table.notes,
        *([_DETERMINISTIC] if any(row.needs_teacher for row in rows) else []),
        *([UNTRAINED_NOTE] if untrained else []),
    )
    return FilledTable(name, table.title, tuple(shown), notes, untrained)


def _cell(dataset: str, row: RowOfPaper, setting: Setting, scores: _Scores) -> Cell:
    by_seed = scores.of(dataset, row)
    return Cell(
        dataset,
        uar=tuple(fmean(score.uar for score in seed) for seed in by_seed),
        war=tuple(fmean(score.war for score in seed) for seed in by_seed),
        published=published_score(row, dataset) if setting.is_the_papers(row) else None,
        why_not=scores.why_not(dataset, row),
    )


def _remark(row: RowOfPaper, scores: _Scores) -> str:
    differences = dict.fromkeys(unusual(card) for seed in scores.heads.get(row, ()) for card in seed)
    return "; ".join(f"fitted with {difference}" for difference in differences if difference)
