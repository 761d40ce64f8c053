"""What the page says of where its numbers come from: runs, features, failures, and what must not be overlooked."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ...errors import escape, shown
from ...reports.legibility import LONG, legible
from ...reports.made_from import MadeFrom
from ...reports.page.page import Notice
from ...reports.read_scores import Written
from ...reports.tables import TRANSDUCTIVE_NOTE, UNTRAINED_NOTE
from ...scoring.scores import Score

_MOST_SPEC = 20_000
"""Letters of a spec."""


@dataclass(frozen=True)
class Run:
    """One evaluation."""

    name: str
    about: str
    command: str


@dataclass(frozen=True)
class Store:
    """Features of a data set."""

    title: str
    facts: Sequence[tuple[str, str]]
    failed_title: str
    failed: Sequence[str]
    spec: str


def described_runs(evaluations: Mapping[str, Written]) -> list[Run]:
    """The evaluations of the page."""
    return [_run(name, one) for name, one in evaluations.items()]


def _run(name: str, one: Written) -> Run:
    known = "" if one.features else " What its features are was not noted, as an older version wrote it."
    heads = len({score.of.head_id for score in one.scores if score.of.head_id})
    samples = sum({score.of.dataset: score.n for score in one.scores if score.is_overall}.values())
    protocols = ", ".join(legible(name) for name in dict.fromkeys(score.of.protocol for score in one.scores) if name)
    about = f"{len(one.scores):,} scores of {heads:,} heads on {samples:,} samples, protocol {protocols}.{known}"
    return Run(legible(name, LONG), about, shown(one.command))


def described_stores(features: Iterable[MadeFrom]) -> list[Store]:
    """The features behind them, each store once."""
    return [_store(one) for one in {(one.dataset, one.store): one for one in features}.values()]


def _store(one: MadeFrom) -> Store:
    facts = [
        ("store", one.store),
        ("encoder", f"{one.node} of {one.model}"),
        ("instruction", one.instruction),
        ("protocol", one.protocol),
        ("precision", one.precision),
        ("weights", "untrained (random)" if one.untrained else ""),
        ("rows", f"{one.rows:,}, {one.n_failed:,} of them failed"),
        ("on", ", ".join(one.devices)),
        ("versions", ", ".join(one.versions)),
        ("written", one.written),
    ]
    title = f"{legible(one.dataset, LONG)} · {one.node} · {legible(one.model, LONG)}"
    failed = [f"{legible(source, LONG)}: {shown(error)}" for source, error in one.failed]
    spec = json.dumps(one.spec, indent=1, ensure_ascii=False)
    return Store(
        title + (f" · {one.n_failed:,} rows failed" if one.n_failed else ""),
        [(name, shown(value)) for name, value in facts if value],
        f"The {'first ' if one.n_failed > len(failed) else ''}{len(failed):,} rows that failed",
        failed,
        "\n".join(map(escape, spec[:_MOST_SPEC].split("\n"))) + ("…" if len(spec) > _MOST_SPEC else ""),
    )


def notices(evaluations: Mapping[str, Written]) -> list[Notice]:
    """What must be known before any number is read."""
    scores = [score for one in evaluations.values() for score in one.scores]
    found = [Notice(UNTRAINED_NOTE, True)] if any(one.of.untrained for one in scores) else []
    found += [Notice(TRANSDUCTIVE_NOTE, True)] if any(one.of.adapted for one in scores) else []
    failed = _most_failed(scores)
    found += [Notice(f"samples are left out because an image failed: {failed}", True)] if failed else []
    dates = sorted({one.of.labels_of[:10] for one in scores if one.of.labels_of})
    found += [Notice(f"some labels could not be read again: they are those of {', '.join(dates)}")] if dates else []
    return found


def _most_failed(scores: Sequence[Score]) -> str:
    most: dict[str, int] = {}
    for one in scores:
        if one.is_overall and one.n_failed:
            most[one.of.dataset] = max(one.n_failed, most.get(one.of.dataset, 0))
    return ", ".join(f"{count:,} of {legible(name)}" for name, count in most.items())
