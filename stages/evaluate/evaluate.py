"""Zero-shot scores of cached test features, over every combination of prompts and heads."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...cache.run_note import refuse_anothers
from ...commands.evaluate import Evaluate
from ...commands.report import Report
from ...pipeline.checks import refuse_folder
from ...reports.made_from import made_from
from ...reports.results import EVALUATION, TABLES, write_results
from ...scoring.adaptation import adapted
from ...scoring.compare import LABELS, Comparison
from ...scoring.scores import Evaluation, Predictions, scores_of
from ..report.place import refuse_page
from .compared import Compared, compared


def evaluate(request: Evaluate, said: set[str] | None = None) -> Evaluation:
    """Score every combination of data sets, backbones, heads and prompt sets; write the results to `out`.

    Features that are missing are extracted first, unless `cached_only`. Raises UsageError before anything is
    made where a data set has no labels, a head fits nowhere, or something is missing that may not be extracted.
    """
    refuse_folder(request.out)
    refuse_anothers(request.out, EVALUATION, TABLES)
    if request.report is not None:
        refuse_page(request.report, "report")
    found = Evaluation([], [])
    features: list[dict[str, Any]] = []
    for one in compared(request, said=said):
        score(one, request.intervals, found)
        if request.out is not None:
            features += [made_from(one.comparisons[0].scorable.manifest, store) for store in one.stores]
    if request.out is not None:
        write_results(found, request.out, request.predictions, request.figures, request.command(), features)
        if request.report is not None:
            from ..report.report import report  # by Pillow, which nothing else here needs

            report(Report((str(request.out),), request.report, cache=request.cache))
    return found


def score(compared: Compared, intervals: bool, found: Evaluation) -> None:
    """Add the predictions and scores of everything that is compared on a data set, in each way of adapting it."""
    plain: dict[str, np.ndarray] = {}
    if intervals and compared.plain is not None:
        plain = {one.of.prompts: one.predicted for one in compared.plain.predictions}
    for comparison in compared.comparisons:
        over = _of_the_same(plain, compared.plain, comparison)
        gains = {} if comparison.has_llm_side else over | _of_one(over)
        for by in compared.ways:
            if by is None:
                some, over = comparison.predictions, {} if comparison is compared.plain else gains
                _add(found, comparison, some, intervals, over, {})
            elif not by.why_not(comparison.head):
                before = {one.of.prompts: one.predicted for one in comparison.predictions} if intervals else {}
                _add(found, comparison, adapted(comparison, by), intervals, gains, before)


def _add(
    found: Evaluation,
    comparison: Comparison,
    some: Sequence[Predictions],
    intervals: bool,
    plain: Mapping[str, np.ndarray],
    unadapted: Mapping[str, np.ndarray],
) -> None:
    """Add predictions and their scores; `plain` and `unadapted` are what gains are over, by prompt set."""
    for one in some:
        over = plain.get(one.of.prompts), unadapted.get(one.of.prompts)
        found.scores.extend(scores_of(one, comparison.scorable.parts, intervals, *over))
        if comparison.with_cosines and one.similarity is not None:  # heads from labels have theirs in any case
            found.predictions.append(one)


def _of_the_same(
    plain: dict[str, np.ndarray], of: Comparison | None, comparison: Comparison
) -> dict[str, np.ndarray]:
    """What plain CLIP predicts for the samples of a comparison, which may be those of some folds alone."""
    if of is None or not comparison.scorable.only:
        return plain
    is_scored = np.isin(of.scorable.numbers, comparison.scorable.numbers)
    return {prompts: predicted[is_scored] for prompts, predicted in plain.items()}


def _of_one(plain: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What a head without prompts gains over: plain CLIP with the only prompt set; with several it is not said."""
    return {LABELS: next(iter(plain.values()))} if len(plain) == 1 else {}
