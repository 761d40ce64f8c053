"""`expclip reproduce`: the paper's tables from the cache, the published numbers beside, and what is missing."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from ...cache.files import writing
from ...cache.result_folder import new_results
from ...cache.run_note import OUT, Run, refuse_anothers
from ...commands import options
from ...commands.reproduce import Reproduce, Reproduction
from ...commands.unused import NO_CLIPS, note_unused
from ...encoders.names import DEFAULT_TEACHER
from ...errors import ExpclipError, UsageError
from ...heads.choosing import NO_HEAD
from ...heads.saving import HeadCard
from ...manifests.dfer_paper import DFER
from ...manifests.paper import TRAIN, RowOfPaper, paper_table, paper_tables, published_score
from ...manifests.prompts import prompt_set
from ...pipeline.checks import may_have_clips, refuse_folder, refuse_unknown_models
from ...pipeline.needs import canonical_model
from ...pipeline.workspace import Workspace
from ...reports.paper_tables import Cell, FilledRow, FilledTable, as_markdown
from ...reports.results import TABLES
from ...reports.tables import UNTRAINED_NOTE
from ...scoring.scores import Score
from ..evaluate.evaluate import evaluate
from .dfer_table import dfer_table
from .known_heads import PaperHeads, unusual
from .other_systems import asked_rows, how_to_get
from .requests import evaluate_request, frames_of, instructions_of
from .steps import paper_steps

_DETERMINISTIC = "The paper's teacher ran with dropout, as its code leaves it in training mode; here it does not."


def reproduce(request: Reproduce) -> Reproduction:
    """Fill tables of the paper (all by default) with what the cache gives; runs no model and trains nothing.

    A cell that cannot be computed says why; a head that cannot be used is left out. Writes `tables.md` to `out`.
    Raises UsageError for an unknown table, model or training set.
    """
    workspace = Workspace.of(request)
    refuse_folder(request.out)
    refuse_anothers(request.out, request.verb, TABLES)
    refuse_unknown_models(request, "clip", "teacher")
    for test in request.test:
        workspace.dataset(test)
    tables = dict.fromkeys(request.tables or paper_tables())
    _note_unused(workspace, request, tables)
    rows = {name: asked_rows(workspace, request, name) for name in tables if name != DFER}
    ours = [row for some in rows.values() for row in some if not row.why_not]
    known = PaperHeads(workspace, request)
    scores = _Scores(request, known, ours, workspace.said)
    filled = {name: _fill(name, some, request, scores) for name, some in rows.items()}
    steps = paper_steps(workspace, request, known, ours)
    if DFER in tables:
        filled[DFER], more = dfer_table(workspace, request)
        steps += more
    done = Reproduction(steps, tuple(filled[name] for name in tables))
    if request.out is not None:
        steps = [(step.command, step.state) for step in done.steps]
        run = Run(request.verb, request.command(), lambda folder: [TABLES])
        with writing(request.out, OUT), new_results(request.out, run) as made:
            (made / TABLES).write_text(as_markdown(done.tables, steps), encoding="utf-8")
    return done


def _note_unused(workspace: Workspace, request: Reproduce, tables: Collection[str]) -> None:
    """Say which options were given that change nothing in any of the tables."""
    if [*tables] == [DFER]:
        note_unused(request, ("teacher", "train", "frames"), "the table dfer has its own")
    elif not any(may_have_clips(workspace, test) for test in request.test):
        note_unused(request, "frames", NO_CLIPS)


@dataclass(frozen=True)
class _Asked:
    """One row's scores on one data set."""

    dataset: str
    row: RowOfPaper
    heads: list[tuple[HeadCard, ...]]
    """For each seed the heads whose scores are averaged; empty for a row without heads."""


class _Scores:
    """The scores of rows on all test sets, and why there is none."""

    def __init__(self, request: Reproduce, known: PaperHeads, rows: Iterable[RowOfPaper], said: set[str]):
        self._request = request
        self._said = said
        self._why: dict[tuple[str, RowOfPaper], str] = {}
        self._found: dict[tuple[str, RowOfPaper], list[list[Score]]] = {}
        self.heads: dict[RowOfPaper, list[tuple[HeadCard, ...]]] = {}
        groups: dict[tuple[str, ...], list[_Asked]] = defaultdict(list)
        for row in dict.fromkeys(rows):
            try:
                self.heads[row] = known.by_seed(row)
            except UsageError as error:
                self._why |= {(dataset, row): error.as_typed for dataset in request.test}
                continue
            for dataset in request.test:
                asked = _Asked(dataset, row, self.heads[row])
                groups[dataset, row.backbone, row.image, row.text].append(asked)
        for group in groups.values():
            self._score(group)

    def why_not(self, dataset: str, row: RowOfPaper) -> str:
        """Why a row has no score on a data set; empty where it has."""
        return row.why_not or self._why.get((dataset, row), "")

    def of(self, dataset: str, row: RowOfPaper) -> list[list[Score]]:
        """For each seed the scores that are averaged: one per instruction. Empty where there is none."""
        return self._found.get((dataset, row), [])

    def _score(self, group: Sequence[_Asked]) -> None:
        """Score rows that share data set, backbone and sides: together, or where one cannot be, one by one."""
        try:
            found = self._evaluate(group)
        except ExpclipError as error:
            if len(group) == 1:
                self._why[group[0].dataset, group[0].row] = error.as_typed
            for asked in group if len(group) > 1 else ():
                self._score([asked])
            return
        for asked in group:
            row = asked.row
            prompts = prompt_set(row.prompts, self._request.protocol).name
            keys = [[(prompts, card.id, card.instruction) for card in seed] for seed in asked.heads]
            keys = keys or [[(prompts, "", name) for name in row.instructions or ("",)]]
            self._found[asked.dataset, row] = [[found[key] for key in seed] for seed in keys]

    def _evaluate(self, group: Sequence[_Asked]) -> dict[tuple[str, str, str], Score]:
        """Scores by prompt set, head and instruction."""
        row = group[0].row
        plain = [NO_HEAD] if any(not asked.row.needs_head for asked in group) else []
        request = evaluate_request(
            self._request,
            [group[0].dataset],
            clip=(row.backbone,),
            head=(*plain, *(card.id for asked in group for seed in asked.heads for card in seed)),
            prompts=tuple(asked.row.prompts for asked in group),
            cached_only=True,
            image=(row.image,),
            text=(row.text,),
            teacher=self._request.teacher,
            instruction=instructions_of(asked.row for asked in group) or options.INSTRUCTION.default,
            frames=frames_of(self._request, row.backbone),
            intervals=False,
        )
        scores = evaluate(request, self._said).scores
        overall = [score for score in scores if score.is_overall]
        return {(score.of.prompts, score.of.head_id, score.of.instruction): score for score in overall}


def _fill(name: str, rows: Sequence[RowOfPaper], request: Reproduce, scores: _Scores) -> FilledTable:
    table = paper_table(name)
    filled = [
        FilledRow(
            row,
            cells=tuple(_cell(dataset, row, request, scores) for dataset in request.test),
            remark=_remark(row, request, scores),
        )
        for row in rows
    ]
    shown = [one for one in filled if not one.row.why_not or any(cell.published for cell in one.cells)]
    behind = [one for row in rows for test in request.test for seed in scores.of(test, row) for one in seed]
    untrained = any(score.of.untrained for score in behind)
    notes = (
        *table.notes,
        *([_DETERMINISTIC] if any(row.needs_teacher for row in rows) else []),
        *([UNTRAINED_NOTE] if untrained else []),
    )
    return FilledTable(name, table.title, tuple(shown), notes, untrained)


def _cell(dataset: str, row: RowOfPaper, request: Reproduce, scores: _Scores) -> Cell:
    by_seed = scores.of(dataset, row)
    return Cell(
        dataset,
        uar=tuple(fmean(score.uar for score in seed) for seed in by_seed),
        war=tuple(fmean(score.war for score in seed) for seed in by_seed),
        published=published_score(row, dataset) if _is_the_papers(request, row) else None,
        why_not=scores.why_not(dataset, row),
    )


def _is_the_papers(request: Reproduce, row: RowOfPaper) -> bool:
    """Whether a published number of a row was reached in the setting of a request."""
    is_usual = canonical_model("llm", request.teacher) == DEFAULT_TEACHER and request.train == TRAIN
    return is_usual or not row.needs_teacher


def _remark(row: RowOfPaper, request: Reproduce, scores: _Scores) -> str:
    differences = dict.fromkeys(unusual(card, request) for seed in scores.heads.get(row, ()) for card in seed)
    is_whole = all(scores.of(test, row) for test in request.test)
    lacking = "" if row.why_not or is_whole else UsageError(how_to_get(row)).as_typed
    said = [row.remark, lacking, *(f"fitted with {difference}" for difference in differences if difference)]
    return "; ".join(filter(None, said))
