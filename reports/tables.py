"""Tables for people: one a data set, heads by prompt sets, UAR / WAR."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from .scores import Score


@dataclass(frozen=True)
class Table:
    """Cells as text; the first column names the rows."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


UNTRAINED_NOTE = "untrained weights: these numbers show that the machinery works, and nothing about faces"


def tables(scores: Iterable[Score]) -> list[Table]:
    """A table for each data set and backbone. Heads that differ only in the seed share a row: mean ± deviation."""
    groups: dict[tuple[str, str], list[Score]] = defaultdict(list)
    for one in scores:
        if one.fold in ("all", "mean"):
            groups[one.of.dataset, one.of.backbone].append(one)
    return [_table(dataset, backbone, group) for (dataset, backbone), group in groups.items()]


def _table(dataset: str, backbone: str, scores: Sequence[Score]) -> Table:
    prompts = list(dict.fromkeys(one.of.prompts for one in scores))
    heads = list(dict.fromkeys(one.of.head_label for one in scores))
    untrained = any(one.of.untrained for one in scores)
    first = scores[0]
    samples = f"{first.n:,} samples" + (f", {first.n_failed} more failed" if first.n_failed else "")
    rows = []
    for head in heads:
        of_head = [one for one in scores if one.of.head_label == head]
        seeds = len({one.of.head_id for one in of_head})
        label = f"{head} ({seeds} seeds)" if seeds > 1 else head
        rows.append((label, *(_cell([one for one in of_head if one.of.prompts == prompt]) for prompt in prompts)))
    return Table(
        title=f"{dataset} · {backbone} · {samples}" + (f" · {UNTRAINED_NOTE}" if untrained else ""),
        columns=("UAR / WAR, %", *prompts),
        rows=tuple(rows),
    )


def _cell(scores: Sequence[Score]) -> str:
    if not scores:
        return "–"
    return " / ".join(_spread([getattr(one, name) for one in scores]) for name in ("uar", "war"))


def _spread(values: Sequence[float]) -> str:
    """The mean, with the sample standard deviation where there are several values."""
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}"


def markdown(found: Sequence[Table]) -> str:
    """The tables as a Markdown document."""
    lines = ["# Scores", ""]
    for table in found:
        lines += [f"## {table.title}", ""]
        lines += [_line(table.columns), _line(["---"] * len(table.columns))]
        lines += [_line(row) for row in table.rows] + [""]
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
