"""Tables to read: one per data set, heads by prompt sets, UAR / WAR."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import shown
from ..scoring.intervals import Interval
from ..scoring.scores import Combination, Score


@dataclass(frozen=True)
class Table:
    """Cells as text; the first column names the rows."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    """What is said below it."""


UNTRAINED_NOTE = "untrained weights: these numbers show that the machinery works, and nothing about faces"


TRANSDUCTIVE_NOTE = (
    "transductive: such a row looked at all test samples together (of each fold, where there are folds), without "
    "their labels; it is not comparable with rows that see one sample at a time"
)


def tables(scores: Iterable[Score]) -> list[Table]:
    """A table for each data set and backbone. Heads that differ only in the seed share a row: mean ± deviation."""
    return [_table(dataset, backbone, group) for (dataset, backbone), group in _groups(scores).items()]


def certainty_tables(scores: Iterable[Score]) -> list[Table]:
    """95 % intervals for each data set and backbone: of the scores and, in brackets, of the gains over no head.

    Heads that differ only in the seed share a row: the ends are the means over seeds. The samples are the same for
    all of them, so that the mean over seeds is not much more certain than one seed is.
    """
    certain = [one for one in scores if one.certainty is not None]
    return [_certainty_table(dataset, backbone, group) for (dataset, backbone), group in _groups(certain).items()]


def _groups(scores: Iterable[Score]) -> dict[tuple[str, str], list[Score]]:
    """The overall scores by data set and backbone."""
    groups: dict[tuple[str, str], list[Score]] = defaultdict(list)
    for one in scores:
        if one.is_overall:
            groups[one.of.dataset, one.of.backbone].append(one)
    return groups


def _table(dataset: str, backbone: str, scores: Sequence[Score]) -> Table:
    prompts = list(dict.fromkeys(one.of.prompts for one in scores))
    untrained = any(one.of.untrained for one in scores)
    first = scores[0]
    samples = f"{first.n:,} samples" + (f", {first.n_failed} more failed" if first.n_failed else "")
    rows = [
        (label, *(_cell([one for one in of_head if one.of.prompts == prompt]) for prompt in prompts))
        for label, of_head in rows_by_head(scores).items()
    ]
    ensemble = "" if first.of.ensemble == "logits" else f" · {first.of.ensemble} averaged"
    labels = f" · labels of {first.of.labels_of[:10]}" if first.of.labels_of else ""
    return Table(
        title=f"{dataset} · {backbone} · {samples}{ensemble}{labels}" + (f" · {UNTRAINED_NOTE}" if untrained else ""),
        columns=("UAR / WAR, %", *prompts),
        rows=tuple(rows),
        note=_note(scores),
    )


def _note(scores: Iterable[Score]) -> str:
    return TRANSDUCTIVE_NOTE if any(one.of.adapted for one in scores) else ""


def adaptation_tables(scores: Iterable[Score]) -> list[Table]:
    """What adaptation adds to the same without one, with 95 % intervals, for each data set and backbone."""
    certain = [one for one in scores if one.certainty is not None and one.certainty.adaptation is not None]
    return [_adaptation_table(dataset, backbone, group) for (dataset, backbone), group in _groups(certain).items()]


def _adaptation_table(dataset: str, backbone: str, scores: Sequence[Score]) -> Table:
    title = f"{dataset} · {backbone} · what adaptation adds to the same row without it (95 % intervals)"
    return _of_both(title, "points", scores, _added)


def _of_both(title: str, unit: str, scores: Sequence[Score], said: Callable[[Sequence[Score], str], str]) -> Table:
    """A row for each head and a column for each prompt set, with what is said of UAR and of WAR in each cell."""
    prompts = list(dict.fromkeys(one.of.prompts for one in scores))
    rows = [
        (label, *(_both([one for one in of_head if one.of.prompts == prompt], said) for prompt in prompts))
        for label, of_head in rows_by_head(scores).items()
    ]
    return Table(title, (f"UAR / WAR, {unit}", *prompts), tuple(rows), _note(scores))


def _both(scores: Sequence[Score], said: Callable[[Sequence[Score], str], str]) -> str:
    return " / ".join(said(scores, metric) for metric in ("uar", "war")) if scores else "–"


def _added(scores: Sequence[Score], metric: str) -> str:
    found = [one.certainty.adaptation for one in scores if one.certainty and one.certainty.adaptation]
    gains = [getattr(one, metric) for one in found]
    return f"{np.mean([one.value for one in gains]):+.1f} ({{:+.1f}} to {{:+.1f}})".format(*mean_bounds(gains))


def _certainty_table(dataset: str, backbone: str, scores: Sequence[Score]) -> Table:
    over = scores[0].of.zero_shot
    title = f"{dataset} · {backbone} · 95 % intervals (in brackets: of the gain over {over})"
    return _of_both(title, "%", scores, _bounds)


def _bounds(scores: Sequence[Score], metric: str) -> str:
    certain = [one.certainty for one in scores if one.certainty]
    found = mean_bounds([getattr(one.score, metric) for one in certain])
    gains = [getattr(one.gain, metric) for one in certain if one.gain]
    gained = " ({:+.1f} to {:+.1f})".format(*mean_bounds(gains)) if gains else ""
    return "{:.1f} to {:.1f}".format(*found) + gained


def mean_bounds(intervals: Sequence[Interval]) -> np.ndarray:
    """The ends (2,) of intervals of the same samples, averaged over seeds."""
    return np.mean([(one.low, one.high) for one in intervals], axis=0)


def rows_by_head(scores: Sequence[Score]) -> dict[str, list[Score]]:
    """Scores by row. Where heads of one name were trained differently, the recipe tells them apart."""
    recipes: dict[str, set[str]] = defaultdict(set)
    for one in scores:
        recipes[one.of.head_label].add(one.of.recipe)

    def name(of: Combination) -> str:
        is_ambiguous = len(recipes[of.head_label]) > 1
        return f"{of.head_label} · recipe {of.recipe}" if is_ambiguous else of.head_label

    rows: dict[str, list[Score]] = defaultdict(list)
    for one in scores:
        rows[name(one.of)].append(one)
    seeds = {label: len({one.of.head_id for one in of_head}) for label, of_head in rows.items()}
    return {f"{label} ({seeds[label]} seeds)" if seeds[label] > 1 else label: one for label, one in rows.items()}


def _cell(scores: Sequence[Score]) -> str:
    return _both(scores, lambda some, metric: spread([getattr(one, metric) for one in some]))


def spread(values: Sequence[float]) -> str:
    """The mean, with the sample standard deviation where there are several values."""
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}"


def markdown(found: Sequence[Table]) -> str:
    """The tables as a Markdown document."""
    return "\n".join(["# Scores", "", *(line for table in found for line in markdown_table(table))])


def markdown_table(table: Table) -> list[str]:
    """A table as lines of Markdown, below its title."""
    head = [f"## {literal(table.title)}", "", _line(table.columns), _line(["---"] * len(table.columns))]
    below = [literal(table.note), ""] if table.note else []
    return [*head, *(_line(row) for row in table.rows), "", *below]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(map(literal, cells))} |"


_ACTIVE = re.compile(r"[|<`\\]|\](?=[(\[:])")


def literal(text: str, active: re.Pattern[str] = _ACTIVE) -> str:
    """A text of others in Markdown: it makes no cell, no code, no link and no HTML."""
    return active.sub(lambda found: f"&#{ord(found[0])};", shown(text))
