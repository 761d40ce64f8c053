"""The files of an evaluation."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np

from ..cache.files import writing
from ..manifests.cells import cell
from ..manifests.own_output import mark_output
from ..scoring.intervals import Interval
from ..scoring.scores import ALL, MEAN, Certainty, Predictions, Score
from .console import say
from .tables import certainty_tables, markdown, tables

_NOTHING = Interval(np.nan, np.nan, np.nan)
_KNOWN = (
    *("dataset", "backbone", "head", "head_id", "seed", "image", "text", "prompts", "protocol", "frames"),
    "untrained",
)
_PREDICTION_COLUMNS = (*_KNOWN, "sample", "fold", "label", "predicted", "cosine")


def write_results(scores: Sequence[Score], predictions: Sequence[Predictions], out: Path) -> None:
    """`scores.csv`, `predictions.csv`, `confusion.npz`, `tables.md`, and `figures/` with a figure per matrix.

    Raises ExpclipError where the disk refuses.
    """
    from .confusion import MOST_DRAWN, confusion_figure

    with writing(out):
        figures = out / "figures"
        if not mark_output(out, "results"):
            mark_output(figures, "results")
        figures.mkdir(parents=True, exist_ok=True)
        rows = [as_row(score) for score in scores]
        columns = list(dict.fromkeys(column for row in rows for column in row))
        _write_csv(out / "scores.csv", columns, ([row.get(column, "") for column in columns] for row in rows))
        _write_csv(
            out / "predictions.csv",
            _PREDICTION_COLUMNS,
            (row for one in predictions for row in _prediction_rows(one)),
        )
        (out / "tables.md").write_text(markdown([*tables(scores), *certainty_tables(scores)]), encoding="utf-8")
        overall = [score for score in scores if score.fold in (ALL, MEAN)]
        named = dict(zip(distinct_names([score.of.slug for score in overall]), overall, strict=True))
        matrices: dict[str, Any] = {name: score.confusion for name, score in named.items()}
        untrained = np.array([name for name, score in named.items() if score.of.untrained], dtype=str)
        np.savez_compressed(out / "confusion.npz", **matrices, untrained=untrained)
        for name, score in named.items():
            if len(score.classes) > MOST_DRAWN:
                say(f"note: figures/{name}.png is not drawn: it would show {len(score.classes):,} classes")
            else:
                confusion_figure(score, figures / f"{name}.png")


def distinct_names(names: Iterable[str]) -> list[str]:
    """Names of files of which no two are one, whatever the case of their letters: a number tells later ones apart."""
    taken: set[str] = set()
    return [free_name(name, taken) for name in names]


def free_name(name: str, taken: set[str]) -> str:
    """A name that is not taken yet; it is then."""
    several = (f"{name}-{number}" if number > 1 else name for number in count(1))
    free = next(one for one in several if one.casefold() not in taken)
    taken.add(free.casefold())
    return free


def as_row(score: Score) -> dict[str, Any]:
    """One row of `scores.csv`: UAR and WAR in percent, recalls in 0 … 1.

    `_low` and `_high` are the ends of 95 % intervals; `_gain` is what a head adds to plain CLIP, in percent too.
    `labels_of` is there where labels could not be read again, and says when they were.
    """
    of = asdict(score.of) | {"seed": "" if score.of.seed is None else score.of.seed}
    if not score.of.labels_of:
        del of["labels_of"]
    return {
        "dataset": of.pop("dataset"),
        "fold": score.fold,
        **of,
        "n": score.n,
        "n_failed": score.n_failed,
        "uar": _rounded(score.uar, 4),
        "war": _rounded(score.war, 4),
        **_certainty_columns(score.certainty),
        **{f"recall_{name}": _rounded(value, 6) for name, value in zip(score.classes, score.recall, strict=True)},
    }


def _certainty_columns(certainty: Certainty | None) -> dict[str, float | str]:
    """The same columns for every score, empty where there is nothing to say."""
    columns: dict[str, float] = {}
    for metric in ("uar", "war"):
        found = getattr(certainty.score, metric) if certainty else _NOTHING
        gain = getattr(certainty.gain, metric) if certainty and certainty.gain else _NOTHING
        columns |= {f"{metric}_low": found.low, f"{metric}_high": found.high, f"{metric}_gain": gain.value}
        columns |= {f"{metric}_gain_low": gain.low, f"{metric}_gain_high": gain.high}
    return {name: _rounded(value, 4) for name, value in columns.items()}


def _rounded(value: float, digits: int) -> float | str:
    """A number for a table; nothing where there is none."""
    return "" if np.isnan(value) else round(float(value), digits)


def _prediction_rows(one: Predictions) -> Iterator[tuple]:
    manifest = one.manifest
    classes = np.array(manifest.classes)
    known = tuple("" if getattr(one.of, name) is None else getattr(one.of, name) for name in _KNOWN)
    per_sample = (
        [manifest.sample_ids[sample] for sample in one.samples],
        [fold or "" for fold in manifest.folds[one.samples].tolist()],
        classes[manifest.labels[one.samples]].tolist(),
        classes[one.predicted].tolist(),
        one.similarity.max(axis=1).round(6).tolist(),
    )
    for row in zip(*per_sample, strict=True):
        yield known + row


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        for row in chain([columns], rows):
            writer.writerow([cell(value) if type(value) is str else value for value in row])
