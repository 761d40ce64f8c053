"""The files of an evaluation: written, and read back."""

import csv
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..cache.files import writing
from ..cache.result_folder import new_results
from ..cache.run_note import OUT, Run, read_note
from ..errors import UsageError, reason
from ..manifests.cells import cell
from ..manifests.disk import distinct_names
from ..manifests.own_output import mark_output, may_be_marked
from ..scoring.intervals import METHOD, Interval, Intervals
from ..scoring.scores import PLAIN, Certainty, Evaluation, Score
from .console import say
from .tables import adaptation_tables, certainty_tables, markdown, tables

if TYPE_CHECKING:
    import pyarrow as pa

_NOTHING = Interval(np.nan, np.nan, np.nan)
EVALUATION = "evaluate"
"""The name of the run of an evaluation."""
TABLES = "tables.md"
_SCORES, _PREDICTIONS, _CONFUSION, _FIGURES = "scores.csv", "predictions", "confusion.npz", "figures"
_FORMATS = ("png", "pdf")
_FEW = 4
"""Figures that are drawn sooner than further processes begin."""


def write_results(
    found: Evaluation,
    out: Path,
    predictions: str = "parquet",
    figures: bool = False,
    command: str = "",
    features: Sequence[dict[str, Any]] = (),
) -> None:
    """`scores.csv`, `confusion.npz`, `tables.md` and the predictions, as `parquet` or `csv`; `figures` on request.

    They take the place of the files of an earlier evaluation, all at once; what others put into the folder stays.
    `predictions` may be `none`. `command` is noted as what made them, and
    `features` as what they were made from. Raises ExpclipError where the disk refuses.
    """
    run = Run(EVALUATION, command, _older_files, features)
    with writing(out, OUT), new_results(out, run) as made:
        rows = as_rows(found.scores)
        columns = list(dict.fromkeys(column for row in rows for column in row))
        _write_csv(made / _SCORES, columns, ([row.get(column, "") for column in columns] for row in rows))
        _write_predictions(found, made, predictions)
        every = [*tables(found.scores), *certainty_tables(found.scores), *adaptation_tables(found.scores)]
        (made / TABLES).write_text(markdown(every), encoding="utf-8")
        overall = [score for score in found.scores if score.is_overall]
        named = dict(zip(distinct_names(score.of.slug for score in overall), overall, strict=True))
        matrices: dict[str, Any] = {name: score.confusion for name, score in named.items()}
        untrained = np.array([name for name, score in named.items() if score.of.untrained], dtype=str)
        np.savez_compressed(made / _CONFUSION, **matrices, untrained=untrained)
        if figures:
            if not may_be_marked(out) and may_be_marked(out / _FIGURES):
                mark_output(made / _FIGURES, "results")
            _draw(named, made / _FIGURES)


def _older_files(folder: Path) -> Iterator[str]:
    """The files that an evaluation wrote into a folder in which nothing is noted of it."""
    if not (folder / _SCORES).is_file():
        return
    yield from (_SCORES, _CONFUSION, TABLES, f"{_PREDICTIONS}.csv")
    yield from (f"{_PREDICTIONS}/{path.name}" for path in (folder / _PREDICTIONS).glob("*.parquet"))
    try:
        with zipfile.ZipFile(folder / _CONFUSION) as matrices:
            names = [name.removesuffix(".npy") for name in matrices.namelist()]
        yield from (f"{_FIGURES}/{name}.{kind}" for name in names for kind in _FORMATS)
    except (OSError, ValueError, zipfile.BadZipFile):  # a torn one: its figures are nobody's
        return


def _write_predictions(found: Evaluation, out: Path, kind: str) -> None:
    if not found.predictions:
        return
    from .predictions import csv_columns, csv_rows, write_parquet

    if kind == "csv":
        _write_csv(out / f"{_PREDICTIONS}.csv", csv_columns(found.predictions), csv_rows(found.predictions))
    else:
        write_parquet(found.predictions, out / _PREDICTIONS)


def _draw(named: dict[str, Score], figures: Path) -> None:
    """A figure per matrix, as PNG and PDF, in as many processes as there are cores."""
    from joblib import Parallel, delayed

    from .confusion import MOST_DRAWN, confusion_figure

    figures.mkdir(parents=True, exist_ok=True)
    small = {name: score for name, score in named.items() if len(score.classes) <= MOST_DRAWN}
    for name, score in named.items():
        if name not in small:
            say(f"note: figures/{name} is not drawn: it would show {len(score.classes):,} classes")
    workers = -1 if len(small) > _FEW else 1
    Parallel(n_jobs=workers)(
        delayed(confusion_figure)(score, [figures / f"{name}.{kind}" for kind in _FORMATS])
        for name, score in small.items()
    )


@dataclass(frozen=True, eq=False)
class Results:
    """What an evaluation wrote, as Arrow tables; `.to_pandas()` makes data frames of them."""

    scores: "pa.Table"
    """The rows of `scores.csv`."""
    predictions: dict[str, "pa.Table"]
    """By data set: a row per combination and sample. Empty where none were kept as Parquet."""


def read_results(folder: Path | str) -> Results:
    """Read what `evaluate` wrote into a folder. Raises UsageError where that is none, or not whole."""
    import pyarrow.csv
    import pyarrow.parquet

    scores = scores_file(Path(folder))
    try:
        tables = [pyarrow.parquet.read_table(path) for path in prediction_files(Path(folder))]
        by_dataset = {table["dataset"][0].as_py(): table for table in tables if len(table)}
        return Results(pyarrow.csv.read_csv(scores), by_dataset)
    except (OSError, ValueError, KeyError) as error:
        raise unreadable(folder, error) from error


def scores_file(folder: Path) -> Path:
    """The file of the scores in a folder. Raises UsageError where there are no results, or not whole ones."""
    note = read_note(folder, EVALUATION)
    if note is not None and not note.is_whole:
        raise UsageError(f"{folder}: an evaluation that wrote here was interrupted: run `{note.command}` again")
    if not (folder / _SCORES).is_file():
        raise UsageError(f"{folder}: no results of an evaluation: {_SCORES} is not there")
    return folder / _SCORES


def prediction_files(folder: Path) -> list[Path]:
    """The files of predictions in a folder of results, one for each data set."""
    return sorted((folder / _PREDICTIONS).glob("*.parquet"))


def matrices_file(folder: Path) -> Path:
    """The file of the confusion matrices in a folder of results."""
    return folder / _CONFUSION


def unreadable(folder: Path | str, error: Exception) -> UsageError:
    """What to say of results that are damaged."""
    return UsageError(f"{folder}: these results cannot be read ({reason(error)}): evaluate again")


def as_rows(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """The rows of `scores.csv`: UAR and WAR in percent, recalls in 0 … 1.

    `_low` and `_high` are the ends of 95 % intervals; `_gain` is what a head adds to plain CLIP, in percent too.
    `labels_of` is there where labels could not be read again, and says when they were; `adapted`, `prior` and
    `_adapted_gain`, what an adaptation adds to the same without one, where some of the scores are adapted;
    `zero_shot`, what backbones are without a head and gains are over, where that is not plain CLIP for all.
    """
    some_adapted = any(score.of.adapted for score in scores)
    some_own = any(score.of.zero_shot != PLAIN for score in scores)
    return [_as_row(score, some_adapted, some_own) for score in scores]


def _as_row(score: Score, some_adapted: bool, some_own: bool) -> dict[str, Any]:
    of = asdict(score.of) | {"seed": "" if score.of.seed is None else score.of.seed}
    if not score.of.labels_of:
        del of["labels_of"]
    if not some_adapted:
        del of["adapted"], of["prior"]
    del of["only_folds"]  # there is no row of another
    if not some_own:
        del of["zero_shot"]
    return {
        "dataset": of.pop("dataset"),
        "fold": score.fold,
        **of,
        "n": score.n,
        "n_failed": score.n_failed,
        "uar": _rounded(score.uar, 4),
        "war": _rounded(score.war, 4),
        **_certainty_columns(score.certainty, some_adapted),
        **{f"recall_{name}": _rounded(value, 6) for name, value in zip(score.classes, score.recall, strict=True)},
    }


def _certainty_columns(certainty: Certainty | None, some_adapted: bool) -> dict[str, float | str]:
    """The same columns for every score, empty where there is nothing to say."""
    columns: dict[str, float] = {}
    for metric in ("uar", "war"):
        found = getattr(certainty.score, metric) if certainty else _NOTHING
        columns |= {f"{metric}_low": found.low, f"{metric}_high": found.high}
        columns |= _gain_columns(f"{metric}_gain", metric, certainty.gain if certainty else None)
        if some_adapted:
            columns |= _gain_columns(f"{metric}_adapted_gain", metric, certainty.adaptation if certainty else None)
    rounded = {name: _rounded(value, 4) for name, value in columns.items()}
    return rounded | {"intervals": METHOD if certainty else ""}


def _gain_columns(name: str, metric: str, gain: Intervals | None) -> dict[str, float]:
    found = getattr(gain, metric) if gain else _NOTHING
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}


def _rounded(value: float, digits: int) -> float | str:
    """A number for a table; nothing where there is none."""
    return "" if np.isnan(value) else round(float(value), digits) + 0.0  # no minus before zero


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        for row in chain([columns], rows):
            writer.writerow([cell(value) if type(value) is str else value for value in row])
