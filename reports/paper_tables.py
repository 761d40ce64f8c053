"""The paper's tables with our numbers: ours, published, difference, and why a number is not there."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import escape
from ..manifests.paper import RowOfPaper
from .tables import Table, literal, markdown_table, spread

_ACTIVE_IN_NOTES = re.compile(r"<|\](?=[(\[:])")
"""Notes hold commands between backticks."""


@dataclass(frozen=True)
class Cell:
    """One row on one data set. All numbers are percent."""

    dataset: str
    uar: tuple[float, ...] = ()
    """One a seed; empty where there is none of ours."""
    war: tuple[float, ...] = ()
    published: tuple[float, float] | None = None
    """UAR and WAR in the paper."""
    why_not: str = ""
    """Why there is none of ours."""

    @property
    def difference(self) -> tuple[float, float] | None:
        """Our mean less the published number, UAR and WAR; None where one of the two is lacking."""
        if not self.uar or self.published is None:
            return None
        return float(np.mean(self.uar)) - self.published[0], float(np.mean(self.war)) - self.published[1]


@dataclass(frozen=True)
class FilledRow:
    """A row of a table of the paper with our numbers."""

    row: RowOfPaper
    cells: tuple[Cell, ...]
    remark: str = ""
    """What a person should know of our numbers and of the published ones."""

    @property
    def label(self) -> str:
        row = self.row
        if row.why_not:
            return row.method
        seeds = max((len(cell.uar) for cell in self.cells), default=0)
        parts = [
            f"{row.method} · {row.backbone}" if row.is_other else f"{row.method} {row.backbone}",
            *([f"{row.head} head"] if row.needs_head else []),
            *([", ".join(row.instructions)] if row.instructions else []),
            *([f"image {row.image}, text {row.text}"] if (row.image, row.text) != ("clip", "clip") else []),
            row.prompts,
            *([f"{seeds} seeds"] if seeds > 1 else []),
        ]
        return " · ".join(parts)


@dataclass(frozen=True)
class FilledTable:
    """A table of the paper with our numbers."""

    name: str
    title: str
    rows: tuple[FilledRow, ...]
    notes: tuple[str, ...] = ()
    untrained: bool = False


def as_text(table: FilledTable) -> tuple[Table, list[str]]:
    """The table for people, up to three lines per row, and the notes below it."""
    reasons: list[str] = []
    lines = [line for row in table.rows for line in _lines(row, reasons)]
    columns = ("UAR / WAR, %", "", *(cell.dataset for cell in table.rows[0].cells))
    notes = [f"[{k}] {reason}" for k, reason in enumerate(reasons, 1)]
    return Table(f"Table {table.name}: {table.title}", columns, tuple(lines)), [*notes, *table.notes]


def _lines(filled: FilledRow, reasons: list[str]) -> list[tuple[str, ...]]:
    label = filled.label + (f" {_mark(filled.remark, reasons)}" if filled.remark else "")
    lines = [(label, "ours", *(_ours(cell, reasons) for cell in filled.cells))]
    if any(cell.published for cell in filled.cells):
        lines.append(("", "published", *(_pair(cell.published, "{:.2f}") for cell in filled.cells)))
    if any(cell.difference for cell in filled.cells):
        lines.append(("", "difference", *(_pair(cell.difference, "{:+.2f}") for cell in filled.cells)))
    return lines


def _ours(cell: Cell, reasons: list[str]) -> str:
    if cell.uar:
        return f"{spread(cell.uar)} / {spread(cell.war)}"
    return f"– {_mark(cell.why_not, reasons)}" if cell.why_not else "–"


def _mark(reason: str, reasons: list[str]) -> str:
    """The number of a note; a reason that was given before keeps its own."""
    if reason not in reasons:
        reasons.append(reason)
    return f"[{reasons.index(reason) + 1}]"


def _pair(pair: tuple[float, float] | None, form: str) -> str:
    return " / ".join(form.format(value) for value in pair) if pair else "–"


def as_json(table: FilledTable) -> dict[str, Any]:
    """The table for programs: numbers in percent, None where there is none."""
    return {
        "table": table.name,
        "title": table.title,
        "notes": list(table.notes),
        "untrained": table.untrained,
        "rows": [_row_as_json(row) for row in table.rows],
    }


def _row_as_json(filled: FilledRow) -> dict[str, Any]:
    row = filled.row
    known = ("method", "backbone", "head", "objective", "instructions", "published", "image", "text", "prompts")
    cells = [_cell_as_json(cell) for cell in filled.cells]
    return {name: getattr(row, name) for name in known} | {"remark": filled.remark, "cells": cells}


def _cell_as_json(cell: Cell) -> dict[str, Any]:
    def both(pair: Sequence[Any] | None) -> dict[str, Any] | None:
        return dict(zip(("uar", "war"), pair, strict=True)) if pair else None

    ours = [_summary(cell.uar), _summary(cell.war)] if cell.uar else None
    return {
        "dataset": cell.dataset,
        "ours": both(ours),
        "published": both(cell.published),
        "difference": both(cell.difference),
        "why_not": cell.why_not,
    }


def _summary(values: Sequence[float]) -> dict[str, Any]:
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "deviation": deviation, "seeds": list(values)}


def as_markdown(tables: Sequence[FilledTable], steps: Sequence[tuple[str, str]]) -> str:
    """Tables and the commands behind them, each with how far it is, as a Markdown document."""
    lines = ["# The paper's tables", ""]
    for table, notes in map(as_text, tables):
        lines += [*markdown_table(table), *(f"{literal(note, _ACTIVE_IN_NOTES)}\n" for note in notes)]
    lines += ["## What makes these numbers", "", *(f"- {_code(command)}: {state}" for command, state in steps), ""]
    return "\n".join(lines)


def _code(text: str) -> str:
    """A text as code, between more backticks than it holds side by side."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence, space = "`" * (longest + 1), " " if longest else ""
    return f"{fence}{space}{escape(text)}{space}{fence}"
