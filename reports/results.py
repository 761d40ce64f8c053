"""The files of an evaluation: written, and read back."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..cache.files import writing
from ..errors import UsageError
from ..manifests.cells import cell
from ..manifests.disk import distinct_names
from ..manifests.own_output import mark_output
from ..scoring.intervals import METHOD, Interval
from ..scoring.scores import ALL, MEAN, Certainty, Evaluation, Score
from .console import say
from .tables import certainty_tables, markdown, tables

if TYPE_CHECKING:
    import pyarrow as pa

_NOTHING = Interval(np.nan, np.nan, np.nan)
_SCORES, _PREDICTIONS = "scores.csv", "predictions"
_FEW = 4
"""Figures that are drawn sooner than further processes begin."""


def write_results(found: Evaluation, out: Path, predictions: str = "parquet", figures: bool = False) -> None:
    """`scores.csv`, `confusion.npz`, `tables.md` and the predictions, as `parquet` or `csv`; `figures` on request.

    Raises ExpclipError where the disk refuses.
    """
    with writing(out):
        is_marked = mark_output(out, "results")
        rows = [as_row(score) for score in found.scores]
        columns = list(dict.fromkeys(column for row in rows for column in row))
        _write_csv(out / _SCORES, columns, ([row.get(column, "") for column in columns] for row in rows))
        _write_predictions(found, out, predictions)
        every = [*tables(found.scores), *certainty_tables(found.scores)]
        (out / "tables.md").write_text(markdown(every), encoding="utf-8")
        overall = [score for score in found.scores if score.fold in (ALL, MEAN)]
        named = dict(zip(distinct_names(score.of.slug for score in overall), overall, strict=True))
        matrices: dict[str, Any] = {name: score.confusion for name, score in named.items()}
        untrained = np.array([name for name, score in named.items() if score.of.untrained], dtype=str)
        np.savez_compressed(out / "confusion.npz", **matrices, untrained=untrained)
        if figures:
            if not is_marked:
                mark_output(out / "figures", "results")
            _draw(named, out / "figures")


def _write_predictions(found: Evaluation, out: Path, kind: str) -> None:
    """In place of those of an earlier evaluation."""
    for earlier in (out / f"{_PREDICTIONS}.csv", *(out / _PREDICTIONS).glob("*.parquet")):
        earlier.unlink(missing_ok=True)
    if not found.predictions:
        return
    from .predictions import CSV_COLUMNS, csv_rows, write_parquet

    if kind == "csv":
        rows = (row for one in found.predictions for row in csv_rows(one))
        _write_csv(out / f"{_PREDICTIONS}.csv", CSV_COLUMNS, rows)
    else:
        write_parquet(found.predictions, out / _PREDICTIONS)


def _draw(named: dict[str, Score], figures: Path) -> None:
    """A figure per matrix, in as many processes as there are cores."""
    from joblib import Parallel, delayed

    from .confusion import MOST_DRAWN, confusion_figure

    figures.mkdir(parents=True, exist_ok=True)
    small = {name: score for name, score in named.items() if len(score.classes) <= MOST_DRAWN}
    for name, score in named.items():
        if name not in small:
            say(f"note: figures/{name}.png is not drawn: it would show {len(score.classes):,} classes")
    workers = -1 if len(small) > _FEW else 1
    Parallel(n_jobs=workers)(
        delayed(confusion_figure)(score, figures / f"{name}.png") for name, score in small.items()
    )


@dataclass(frozen=True, eq=False)
class Results:
    """What an evaluation wrote, as Arrow tables; `.to_pandas()` makes data frames of them."""

    scores: "pa.Table"
    """The rows of `scores.csv`."""
    predictions: dict[str, "pa.Table"]
    """By data set: a row per combination and sample. Empty where none were kept as Parquet."""


def read_results(folder: Path | str) -> Results:
    """Read what `evaluate` wrote into a folder. Raises UsageError where that is none."""
    import pyarrow.csv
    import pyarrow.parquet

    scores = Path(folder) / _SCORES
    if not scores.is_file():
        raise UsageError(f"{folder}: no results of an evaluation: {_SCORES} is not there")
    tables = [pyarrow.parquet.read_table(path) for path in sorted((Path(folder) / _PREDICTIONS).glob("*.parquet"))]
    by_dataset = {table["dataset"][0].as_py(): table for table in tables if len(table)}
    return Results(pyarrow.csv.read_csv(scores), by_dataset)


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
    rounded = {name: _rounded(value, 4) for name, value in columns.items()}
    return rounded | {"intervals": METHOD if certainty else ""}


def _rounded(value: float, digits: int) -> float | str:
    """A number for a table; nothing where there is none."""
    return "" if np.isnan(value) else round(float(value), digits) + 0.0  # no minus before zero


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        for row in chain([columns], rows):
            writer.writerow([cell(value) if type(value) is str else value for value in row])
