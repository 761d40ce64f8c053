"""What was predicted: labels and probabilities of pictures, and their table in a file."""

import csv
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..cache.result_folder import new_results
from ..cache.run_note import Run
from ..manifests.cells import cell

PREDICTION = "predict"
"""The name of the run of a prediction."""
DRAWN = "drawn"
"""The folder of its pictures."""


@dataclass(frozen=True)
class Recipe:
    """What predicted."""

    backbone: str
    head: str
    """What it is called; of a model as it is, `plain CLIP` or the like."""
    head_ids: tuple[str, ...]
    """The seeds whose probabilities are averaged; none for a model as it is."""
    prompts: str
    """Empty for a head that needs none."""
    temperature: float
    fitted_on: str
    """The data set behind the temperature; empty where it was given, and the probabilities are not calibrated."""
    untrained: bool

    @property
    def said(self) -> str:
        """One line for people."""
        seeds = f", {len(self.head_ids)} seeds together" if len(self.head_ids) > 1 else ""
        ids = f" ({', '.join(self.head_ids)})" if self.head_ids else ""
        prompts = f" · {self.prompts}" if self.prompts else ""
        how = (
            f"calibrated on {self.fitted_on} (temperature {self.temperature:.3g})"
            if self.fitted_on
            else "probabilities are not calibrated"
        )
        untrained = " · untrained" if self.untrained else ""
        return f"{self.backbone} · {self.head}{seeds}{ids}{prompts}{untrained} · {how}"


@dataclass(frozen=True)
class Prediction:
    """One image, face or video."""

    path: str
    frame: int | None = None
    """Of a file with several pictures that are rows of their own."""
    face: int | None = None
    """Its number in the picture, from 1, where faces were looked for."""
    box: tuple[float, float, float, float] | None = None
    """x0, y0, x1, y1 in pixels of the picture."""
    label: str = ""
    probabilities: tuple[float, ...] = ()
    """In the order of the classes; none where there is an error."""
    error: str = ""


@dataclass(frozen=True)
class Predicted:
    """The labels of some pictures, and what predicted them."""

    recipe: Recipe
    classes: tuple[str, ...]
    rows: tuple[Prediction, ...]
    files: tuple[str, ...] = ()
    """What was written."""

    @property
    def n_failed(self) -> int:
        return sum(bool(row.error) for row in self.rows)

    def columns(self) -> dict[str, list[Any]]:
        """The table, by column: path, frame, face, box, label, p_CLASS of each class, error. None is nothing."""
        rows = self.rows
        boxes = [row.box or (None,) * 4 for row in rows]
        table: dict[str, list[Any]] = {
            name: [getattr(row, name) for row in rows] for name in ("path", "frame", "face")
        }
        table |= {name: [box[k] for box in boxes] for k, name in enumerate(("x0", "y0", "x1", "y1"))}
        table["label"] = [row.label for row in rows]
        for k, name in enumerate(self.classes):
            table[f"p_{name}"] = [row.probabilities[k] if row.probabilities else None for row in rows]
        table["error"] = [row.error for row in rows]
        return table


def as_json(answer: Predicted) -> dict[str, Any]:
    """What --json prints, and the file has."""
    columns = answer.columns()
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    recipe = {name: getattr(answer.recipe, name) for name in answer.recipe.__dataclass_fields__}
    return {"recipe": recipe, "classes": list(answer.classes), "rows": rows, "files": list(answer.files)}


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
