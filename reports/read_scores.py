"""Scores as an evaluation wrote them, back from its files."""

import csv
import zipfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from ..cache.run_note import read_note
from ..manifests.cells import cell, text_of
from ..scoring.intervals import Interval, Intervals
from ..scoring.metrics import recalls
from ..scoring.scores import ALL, MEAN, PLAIN, Certainty, Combination, Score
from ..untrusted import read_text
from .made_from import MadeFrom, parsed
from .results import EVALUATION, matrices_file, scores_file, unreadable

_RECALL = "recall_"
_USUAL = {"zero_shot": PLAIN, "image": "clip", "text": "clip"}
"""What older files mean that do not say it; other texts are empty then."""
_NEEDED = ("dataset", "backbone", "head", "prompts")
_UNTRAINED = "untrained"
_CLOSE = 1e-5
"""Recalls are written with six digits."""


@dataclass(frozen=True, eq=False)
class Written:
    """What an evaluation wrote, but for its predictions."""

    folder: Path
    command: str
    """That wrote it; empty where an older version did."""
    scores: list[Score]
    features: list[MadeFrom]
    """What it was made from; nothing of older versions."""


def read_scores(folder: Path) -> Written:
    """The scores of a folder of results. Raises UsageError where it is none, not whole, or damaged."""
    file = scores_file(folder)
    note = read_note(folder, EVALUATION)
    features = parsed(note.features) if note else []
    try:
        rows = list(csv.DictReader(StringIO(read_text(file), newline=""), strict=True))
        if not rows:
            raise ValueError("there is no score")
        scores = _scores(rows, _matrices(matrices_file(folder)), {one.dataset: one.classes for one in features})
    except (OSError, ValueError, KeyError, TypeError, EOFError, csv.Error, zipfile.BadZipFile) as error:
        raise unreadable(folder, error) from error
    return Written(folder, note.command if note else "", scores, features)


def _matrices(file: Path) -> list[np.ndarray]:
    """Confusion matrices in the order of the overall scores."""
    with np.load(file, allow_pickle=False) as found:
        return [_matrix(found[name]) for name in found.files if name != _UNTRAINED]


def _matrix(found: np.ndarray) -> np.ndarray:
    if found.ndim != 2 or found.shape[0] != found.shape[1] or found.dtype.kind not in "iu":
        raise ValueError("its confusion matrices are none")
    return found


def _scores(
    rows: Sequence[Mapping[str, str]], matrices: Sequence[np.ndarray], classes: Mapping[str, Sequence[str]]
) -> list[Score]:
    found = [(_combination(row), row) for row in rows]
    folds: dict[Combination, list[str]] = defaultdict(list)
    for of, row in found:
        folds[of].append(row["fold"])
    alone = {of: some[0] for of, some in folds.items() if len(some) == 1 and some[0] not in (ALL, MEAN)}
    scores = [_score(replace(of, only_folds=alone.get(of, "")), row) for of, row in found]
    overall = [place for place, one in enumerate(scores) if one.is_overall]
    for place, matrix in zip(overall, matrices, strict=True):
        scores[place] = _with_classes(scores[place], rows[place], matrix, classes)
    return scores


def _combination(row: Mapping[str, str]) -> Combination:
    if None in row or None in row.values():
        raise ValueError("a line of the scores has too few or too many cells")
    known: dict[str, Any] = {name: row[name] for name in _NEEDED}
    for one in fields(Combination):
        known.setdefault(one.name, row.get(one.name) or _USUAL.get(one.name, ""))
    known = {name: text_of(value) for name, value in known.items()}
    seed, untrained = known["seed"], known[_UNTRAINED] == "True"
    return Combination(**known | {"seed": int(seed) if seed else None, _UNTRAINED: untrained})


def _score(of: Combination, row: Mapping[str, str]) -> Score:
    none = np.zeros((0, 0), dtype=int)
    counts = int(row["n"]), int(row.get("n_failed") or 0)
    return Score(of, row["fold"], (), *counts, _number(row, "uar"), _number(row, "war"), none, none, _certainty(row))


def _number(row: Mapping[str, str], name: str) -> float:
    """A number of a row; NaN where there is none, as for scores of no sample."""
    return float(row.get(name) or "nan")


def _certainty(row: Mapping[str, str]) -> Certainty | None:
    score = _intervals(row, "{}", "{}")
    return Certainty(score, _intervals(row, "{}_gain", "{}_gain")) if score else None


def _intervals(row: Mapping[str, str], value: str, ends: str) -> Intervals | None:
    found = [
        Interval(*(_number(row, name) for name in (value, f"{ends}_low", f"{ends}_high")))
        for value, ends in ((value.format(metric), ends.format(metric)) for metric in ("uar", "war"))
    ]
    return Intervals(*found) if np.isfinite([one.low for one in found]).all() else None


def _with_classes(
    score: Score, row: Mapping[str, str], matrix: np.ndarray, classes: Mapping[str, Sequence[str]]
) -> Score:
    """A score with its matrix, and with the names of classes: as noted, or else as the columns of recalls are."""
    columns = [name.removeprefix(_RECALL) for name in row if name.startswith(_RECALL) and row[name]]
    for names in (classes.get(score.of.dataset, ()), [text_of(name) for name in columns]):
        said = np.array([_number(row, cell(f"{_RECALL}{name}")) for name in names])
        if _are_those(said, matrix, row["fold"] == MEAN):
            return replace(score, classes=tuple(names), recall=said, confusion=matrix)
    unnamed = tuple(f"class {k + 1}" for k in range(len(matrix)))
    return replace(score, classes=unnamed, recall=recalls(matrix), confusion=matrix)


def _are_those(said: np.ndarray, matrix: np.ndarray, is_mean: bool) -> bool:
    """Whether recalls (classes,) are those of a matrix; of a mean over folds they may be others."""
    if len(said) != len(matrix):
        return False
    return is_mean or bool(np.allclose(said, recalls(matrix), rtol=0, atol=_CLOSE, equal_nan=True))
