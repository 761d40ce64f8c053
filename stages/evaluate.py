"""`expclip evaluate`: zero-shot scores of cached test features, over every combination of prompts and heads."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import UsageError
from ..manifests.manifest import NO_FOLD
from ..manifests.prompts import PromptSet, prompt_set
from ..reports.bootstrap import paired_difference, score_interval
from ..reports.metrics import confusion_matrix
from ..reports.results import write_results
from ..reports.scores import ALL, Certainty, Predictions, Score, mean_over_folds, score
from .comparisons import Comparison, comparisons
from .scoring import Scoring
from .workspace import Workspace


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All scores of a sweep, and the predictions behind them."""

    scores: list[Score]
    predictions: list[Predictions]


def evaluate(
    workspace: Workspace, datasets: Sequence[str], scoring: Scoring | None = None, out: Path | None = None
) -> Evaluation:
    """Score every combination of data sets, backbones, heads and prompt sets; write the results to `out`.

    Features that are missing are extracted first, unless `cached_only`. Raises UsageError where a data set has no
    labels, a head belongs to other features, or something is missing that may not be extracted.
    """
    scoring = scoring or Scoring()
    prompt_sets = _prompt_sets(scoring, workspace.protocol)
    if out is not None and out.exists() and not out.is_dir():
        raise UsageError(f"--out {out}: this is a file; a folder is needed")
    found = Evaluation([], [])
    for text in dict.fromkeys(datasets):
        for compared in comparisons(workspace, text, scoring, prompt_sets):
            for predictions in compared.predict():
                found.predictions.append(predictions)
                found.scores.extend(_scores(compared, predictions, scoring.intervals))
    if not found.scores:
        raise UsageError("no head of the cache matches, and without one there is nothing to compare: fit one first")
    if out is not None:
        write_results(found.scores, found.predictions, out)
    return found


def _prompt_sets(scoring: Scoring, protocol: str) -> list[PromptSet]:
    """The prompt sets of a sweep. Raises UsageError where two have one name: results are told apart by it."""
    found: dict[str, PromptSet] = {}
    for name in dict.fromkeys(scoring.prompts):
        prompts = prompt_set(name, protocol)
        if found.setdefault(prompts.name, prompts) != prompts:
            raise UsageError(f"--prompts {name}: another prompt set is called {prompts.name} too: rename the file")
    return list(found.values())


def _scores(compared: Comparison, predictions: Predictions, intervals: bool) -> list[Score]:
    """One score, or one a fold and their plain mean."""
    folds = sorted(set(compared.samples.manifest.folds.tolist()))
    per_fold = [_score_fold(compared, predictions, intervals, fold) for fold in folds]
    if folds == [NO_FOLD]:
        return per_fold
    everything = np.ones(len(predictions.samples), dtype=bool)
    certainty = _certainty(compared, predictions, everything) if intervals else None
    return [*per_fold, replace(mean_over_folds(per_fold), certainty=certainty)]


def _score_fold(compared: Comparison, predictions: Predictions, intervals: bool, fold: int) -> Score:
    samples, manifest = compared.samples, compared.samples.manifest
    here = manifest.folds[predictions.samples] == fold
    truth = manifest.labels[predictions.samples[here]]
    confusion = confusion_matrix(truth, predictions.predicted[here], len(manifest.classes))
    n_failed = int((manifest.folds[samples.failed] == fold).sum())
    name = str(fold) if fold != NO_FOLD else ALL
    found = score(predictions.of, name, manifest.classes, confusion, n_failed)
    return replace(found, certainty=_certainty(compared, predictions, here)) if intervals else found


def _certainty(compared: Comparison, predictions: Predictions, here: np.ndarray) -> Certainty | None:
    """How certain the scores of some samples (n,) are, or the mean of their folds' scores."""
    if not here.any():
        return None
    manifest, chosen = compared.samples.manifest, predictions.samples[here]
    truth, folds, predicted = manifest.labels[chosen], manifest.folds[chosen], predictions.predicted[here]
    plain = compared.plain.get(predictions.of.prompts) if compared.card else None
    gain = None if plain is None else paired_difference(truth, plain[here], predicted, folds)
    return Certainty(score_interval(truth, predicted, folds), gain)
