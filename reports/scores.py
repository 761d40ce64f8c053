"""One record a scored combination, and the files that hold them."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .metrics import recalls, uar, war

MEAN = "mean"
"""The fold of the plain mean over folds."""


@dataclass(frozen=True)
class Combination:
    """What was scored: which data, which backbone, which head, which prompts."""

    dataset: str
    backbone: str
    head: str
    """Kind of the head; "none" for plain CLIP."""
    head_id: str
    objective: str
    instruction: str
    seed: int | None
    prompts: str
    ensemble: str
    protocol: str
    frames: str
    untrained: bool

    @property
    def head_label(self) -> str:
        """For people, without the seed."""
        return "plain CLIP" if self.head == "none" else f"{self.head} head · {self.instruction}"

    @property
    def slug(self) -> str:
        parts = [self.dataset, self.backbone, self.head_id or "none", self.prompts]
        return "-".join("".join(c if c.isalnum() or c in "-_." else "-" for c in part) for part in parts)


@dataclass(frozen=True, eq=False)
class Score:
    """The result of one combination on one fold."""

    of: Combination
    fold: str
    """"all", the fold's number, or "mean"."""
    classes: tuple[str, ...]
    n: int
    """Samples scored."""
    n_failed: int
    """Samples left out because one of their images could not be encoded."""
    uar: float
    """Percent."""
    war: float
    """Percent."""
    recall: np.ndarray
    """(classes,) in 0 … 1."""
    confusion: np.ndarray
    """(classes, classes) counts, true by predicted; summed over folds for the mean."""


def score(of: Combination, fold: str, classes: tuple[str, ...], confusion: np.ndarray, n_failed: int) -> Score:
    """The scores of one confusion matrix."""
    n = int(confusion.sum())
    return Score(of, fold, classes, n, n_failed, uar(confusion), war(confusion), recalls(confusion), confusion)


def mean_over_folds(folds: Sequence[Score]) -> Score:
    """The plain mean of the folds' scores, as the field reports five-fold sets."""
    first = folds[0]
    return Score(
        of=first.of,
        fold=MEAN,
        classes=first.classes,
        n=sum(fold.n for fold in folds),
        n_failed=sum(fold.n_failed for fold in folds),
        uar=float(np.mean([fold.uar for fold in folds])),
        war=float(np.mean([fold.war for fold in folds])),
        recall=np.nanmean([fold.recall for fold in folds], axis=0),
        confusion=np.sum([fold.confusion for fold in folds], axis=0),
    )


def as_row(score: Score) -> dict[str, Any]:
    """One row of `scores.csv`: UAR and WAR in percent, recalls in 0 … 1."""
    of = score.of
    return {
        "dataset": of.dataset,
        "fold": score.fold,
        "backbone": of.backbone,
        "head": of.head,
        "head_id": of.head_id,
        "objective": of.objective,
        "instruction": of.instruction,
        "seed": "" if of.seed is None else of.seed,
        "prompts": of.prompts,
        "ensemble": of.ensemble,
        "protocol": of.protocol,
        "frames": of.frames,
        "untrained": of.untrained,
        "n": score.n,
        "n_failed": score.n_failed,
        "uar": round(score.uar, 4),
        "war": round(score.war, 4),
        **{f"recall_{name}": _rounded(value) for name, value in zip(score.classes, score.recall, strict=True)},
    }


def _rounded(value: float) -> float | str:
    return "" if np.isnan(value) else round(float(value), 6)


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """A CSV file with the union of the rows' columns, in order of appearance."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
