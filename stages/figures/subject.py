"""What a figure is of: one data set under one backbone, with all heads that are compared on it."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ...commands.figures import Figures
from ...errors import UsageError, option
from ...manifests.manifest import Manifest
from ...pipeline.reader import Reader
from ...reports.legibility import COLOURS, legible
from ...reports.tables import UNTRAINED_NOTE, rows_by_head
from ...scoring.compare import Comparison
from ...scoring.cosines import unit
from ...scoring.samples import Classifier, Head
from ...scoring.scores import Combination, Evaluation, Score

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Named = Iterator[tuple[str, "Figure | str"]]
"""Figures with their file names, without a suffix; in place of one that cannot be drawn, why not."""

MOST_ROWS = len(COLOURS)


@dataclass(frozen=True, eq=False)
class Subject:
    """One data set under one backbone."""

    request: Figures
    comparisons: Sequence[Comparison]
    found: Evaluation
    """Their scores."""
    reader: Reader
    """The backbone's text tower."""

    @property
    def manifest(self) -> Manifest:
        return self.comparisons[0].scorable.manifest

    @property
    def numbers(self) -> np.ndarray:
        """(n,) numbers of the samples that have a label and features."""
        return self.comparisons[0].scorable.numbers

    @property
    def labels(self) -> np.ndarray:
        """(n,) class indices of the same."""
        return self.comparisons[0].scorable.labels

    def title(self, what: str, shown: Sequence[Score] = ()) -> str:
        """A figure's title, with a warning where untrained weights are behind what is shown: the rows if not said."""
        of = self.found.scores[0].of
        shown = shown or [score for scores in self.rows.values() for score in scores]
        untrained = any(score.of.untrained for score in shown)
        warning = "\n" + UNTRAINED_NOTE.replace(": ", ":\n") if untrained else ""
        return f"{legible(of.dataset)} · {legible(of.backbone)} · {what}{warning}"

    @property
    def name(self) -> str:
        """Of files about it."""
        return self.found.scores[0].of.features_slug

    @cached_property
    def rows(self) -> dict[str, list[Score]]:
        """Heads that project and differ only in the seed, by the name of their row; at most four rows are drawn."""
        projecting = {one.of.head_id for one in self.comparisons if not isinstance(one.head, Classifier)}
        scores = [one for one in self.found.scores if one.of.head_id in projecting and one.is_overall]
        if not scores:
            raise UsageError(f"{option('head')}: heads that learnt from labels have no embeddings to draw")
        scores = [one for one in scores if one.of.prompts == scores[0].of.prompts]
        return dict(list(rows_by_head(scores).items())[:MOST_ROWS])

    def by_prompts(self) -> Iterator[tuple[str, Evaluation]]:
        """The evaluation cut by prompt set, each with a name for files."""
        parts: dict[str, Evaluation] = defaultdict(lambda: Evaluation([], []))
        for score in self.found.scores:
            parts[score.of.setting_slug].scores.append(score)
        for predictions in self.found.predictions:
            parts[predictions.of.setting_slug].predictions.append(predictions)
        yield from parts.items()

    def head(self, of: Combination) -> Head | Classifier:
        """What is behind a combination."""
        return next(one.head for one in self.comparisons if one.of.head_id == of.head_id)

    def projecting_head(self, score: Score) -> Head:
        """What is behind a score of `rows`."""
        head = self.head(score.of)
        assert not isinstance(head, Classifier)
        return head

    def embeddings(self, score: Score, places: np.ndarray | None = None) -> np.ndarray:
        """(n, L') float32 unit embeddings of samples, or of those at some places, behind the head of a score."""
        samples = self.comparisons[0].scorable.samples
        some = samples if places is None else samples.take(places)
        return unit(self.projecting_head(score).project(some)).astype(np.float32)


def shown_head(label: str, scores: Sequence[Score]) -> tuple[str, Score]:
    """The one score of a row that is shown where a mean over seeds cannot be, and what it is called."""
    score = min(scores, key=lambda one: one.of.seed or 0)
    return (f"{label}, shown: seed {score.of.seed}" if len(scores) > 1 else label), score
