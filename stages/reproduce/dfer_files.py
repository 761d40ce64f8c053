"""What classifiers of DFER-CLIP's released files score: each on the fold that it was tested on, under its CLIP."""

from collections.abc import Sequence
from statistics import fmean

import numpy as np

from ...commands.reproduce import Reproduce
from ...errors import ExpclipError
from ...heads.card import HeadCard
from ...heads.kept import heads_in
from ...manifests.dfer_paper import FRAMES, files_row
from ...manifests.manifest import NO_FOLD
from ...pipeline.rereading import known_manifest
from ...pipeline.workspace import Workspace
from ...reports.paper_tables import Cell, FilledRow
from ...scoring.scores import Score
from ..evaluate.evaluate import evaluate
from .requests import evaluate_request


def files_rows(workspace: Workspace, request: Reproduce) -> list[FilledRow]:
    """Their row, where the cache has any of them; it runs no model."""
    kept, _ = heads_in(workspace.cache.heads)
    cards = [card for _, card in kept if card.imported and card.head == files_row().head]
    by_column = {test: _of(workspace, test, cards) for test in request.test}
    if not any(by_column.values()):
        return []
    cells = tuple(_cell(workspace, request, test, some) for test, some in by_column.items())
    return [FilledRow(files_row(), cells, "each file on its own fold; the plain mean over folds")]


def _of(workspace: Workspace, dataset: str, cards: Sequence[HeadCard]) -> dict[int, HeadCard]:
    """The classifiers of a data set by their folds, or by 0; of several of one fold the last that was imported."""
    folder = workspace.dataset(dataset).folder
    of_set = sorted((card for card in cards if card.train == folder), key=lambda card: card.fitted)
    return {number: card for card in of_set for number in (card.spec.get("folds") or {}).get("numbers", [NO_FOLD])}


def _cell(workspace: Workspace, request: Reproduce, dataset: str, cards: dict[int, HeadCard]) -> Cell:
    manifest = known_manifest(workspace, dataset)
    folds = np.unique(manifest.folds).tolist() if manifest else []
    lacking = [fold for fold in folds if fold not in cards]
    if lacking or not folds:
        what = f"of the folds {', '.join(map(str, lacking))}" if lacking and lacking != [NO_FOLD] else "of it"
        return Cell(dataset, why_not=f"no released file {what} is imported: `expclip weights convert dfer-clip FILE`")
    try:
        scores = [_score(workspace, request, dataset, cards[fold]) for fold in folds]
    except ExpclipError as error:
        return Cell(dataset, why_not=error.as_typed)
    return Cell(dataset, (fmean(one.uar for one in scores),), (fmean(one.war for one in scores),))


def _score(workspace: Workspace, request: Reproduce, dataset: str, card: HeadCard) -> Score:
    known = {"clip": (card.clip_digest,), "head": (card.id,), "prompts": ("P-3",), "frames": FRAMES}
    asked = evaluate_request(request, (dataset,), **known, protocol=card.protocol, cached_only=True, intervals=False)
    (found,) = (one for one in evaluate(asked, workspace.said).scores if one.is_overall)
    return found
