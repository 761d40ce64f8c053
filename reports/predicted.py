"""The table of a prediction, in a file."""

import csv
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..cache.result_folder import new_results
from ..cache.run_note import Run
from ..commands.predict import Predicted, as_json
from ..manifests.cells import cell

PREDICTION = "predict"
"""The name of the run of a prediction."""
DRAWN = "drawn"
"""The folder of its pictures."""


def table_of(format: str) -> str:
    """The name of the table's file."""
    return f"predictions.{format}"


def write_predicted(
    answer: Predicted, out: Path, format: str, command: str, draw: Callable[[Path], None] | None = None
) -> Predicted:
    """Put the table into a folder, and what `draw` draws into a folder that it is given; returns what names them.

    They take the place of those of an earlier prediction, all at once. Raises ExpclipError where the disk refuses.
    """
    with new_results(out, Run(PREDICTION, command)) as made:
        if draw:
            draw(made)
        _WRITERS[format](made / table_of(format), answer)
        drawn = sorted(path.name for path in (made / DRAWN).glob("*"))
    names = [table_of(format), *(f"{DRAWN}/{name}" for name in drawn)]
    return replace(answer, files=tuple(str(out / name) for name in names))


def _write_csv(file: Path, answer: Predicted) -> None:
    columns = answer.columns()
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow(map(cell, columns))
        for values in zip(*columns.values(), strict=True):
            writer.writerow(["" if value is None else _shown(value) for value in values])


def _shown(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.6g}"
    return cell(value) if isinstance(value, str) else value


def _write_json(file: Path, answer: Predicted) -> None:
    file.write_text(json.dumps(as_json(answer), indent=1) + "\n", encoding="utf-8")


def _write_parquet(file: Path, answer: Predicted) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"path": pa.string(), "label": pa.string(), "error": pa.string(), "frame": pa.int32(), "face": pa.int32()}
    columns = answer.columns()
    schema = pa.schema([(name, kinds.get(str(name), pa.float64())) for name in columns])
    pq.write_table(pa.table(columns, schema=schema), file)


_WRITERS: Mapping[str, Callable[[Path, Predicted], None]] = {
    "csv": _write_csv,
    "json": _write_json,
    "parquet": _write_parquet,
}
