"""The samples that the page shows one by one, and how far predictions of them can be relied on."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...reports.read_predictions import Key, PredictionFile
from ...scoring.reliability import Reliability, reliability
from ...scoring.scores import Score
from .shown import Group, Row, scales

REPAIRED, BROKEN, RIGHT, WRONG = "repaired", "broken", "right in both", "wrong in both"
CHANGES = (REPAIRED, BROKEN, WRONG, RIGHT)
"""What a head did to a sample, what is looked at first before the rest."""


@dataclass(frozen=True, eq=False)
class Browsed:
    """The samples of one data set, by a backbone without a head and by the best head."""

    group: Group
    over: Score
    head: Score
    classes: tuple[str, ...]
    ids: Sequence[str]
    truth: np.ndarray
    """(n,) class indices."""
    was: np.ndarray
    """(n,) what is predicted without a head."""
    now: np.ndarray
    """(n,) what the head predicts."""
    right: np.ndarray
    """(n,) how many of the combinations are right."""
    combinations: int

    @property
    def changes(self) -> np.ndarray:
        """(n,) places among CHANGES."""
        was, now = self.was == self.truth, self.now == self.truth
        return np.select([now & ~was, was & ~now, ~was & ~now], [0, 1, 2], 3)


@dataclass(eq=False)
class Predicted:
    """What the predictions of a data set say."""

    browsed: Browsed | None = None
    reliabilities: dict[tuple[Group, Row], Reliability] = field(default_factory=dict)


def predicted(path: Path, shown: Sequence[Group]) -> Predicted:
    """What a file of predictions says of the groups of its evaluation. Raises what Arrow raises for damage."""
    file = PredictionFile(path)
    own = [group for group in shown if group.dataset == file.dataset]
    if not own:
        return Predicted()
    best = max((group for group in own if group.pair), key=_best, default=None)
    by, kept = scales(own), {Key.of(one.of) for one in best.pair} if best and best.pair else set()
    found = _Kept(kept)
    for part in file.parts(by.get):
        found.add(part)
    reliabilities = {}
    for group in own:
        for row in group.shown:
            one = found.reliability([Key.of(score.of) for score in row.scores])
            if one is not None:
                reliabilities[group, row] = one
    return Predicted(found.browsed(file, best) if best else None, reliabilities)


def _best(group: Group) -> float:
    assert group.pair is not None
    return group.pair[1].uar


class _Kept:
    """What is kept of the predictions while they are read."""

    def __init__(self, whole: set[Key]):
        self._whole = whole
        self._confidences: dict[Key, list[tuple[np.ndarray, np.ndarray]]] = defaultdict(list)
        self._parts: dict[Key, list] = defaultdict(list)
        self._right = np.zeros(0, dtype=np.int64)
        self._seen: set[Key] = set()

    def add(self, part) -> None:
        is_right = part.predicted == part.truth
        self._seen.add(part.of)
        most = int(part.samples.max(initial=-1)) + 1
        if most > len(self._right):
            self._right = np.concatenate([self._right, np.zeros(most - len(self._right), dtype=np.int64)])
        np.add.at(self._right, part.samples, is_right)
        if part.confidence is not None:
            self._confidences[part.of].append((part.confidence, is_right))
        if part.of in self._whole:
            self._parts[part.of].append(part)

    def reliability(self, keys: Sequence[Key]) -> Reliability | None:
        """Of all seeds of a row together; None where no confidence of it is known."""
        found = [some for key in keys for some in self._confidences.get(key, [])]
        if not found:
            return None
        confidence, right = (np.concatenate(one) for one in zip(*found, strict=True))
        is_known = np.isfinite(confidence)
        return reliability(confidence[is_known], right[is_known]) if is_known.any() else None

    def browsed(self, file: PredictionFile, group: Group) -> Browsed | None:
        """The samples that both of the pair predict."""
        assert group.pair is not None
        n = len(self._right)
        truth = np.full(n, -1)
        both = []
        for score in group.pair:
            guess = np.full(n, -1)
            for part in self._parts.get(Key.of(score.of), []):
                guess[part.samples], truth[part.samples] = part.predicted, part.truth
            both.append(guess)
        was, now = both
        known = np.flatnonzero((was >= 0) & (now >= 0))
        if not len(known):
            return None
        ids = list(file.ids)
        return Browsed(
            group,
            *group.pair,
            file.classes,
            [ids[place] for place in known.tolist()],
            truth[known],
            was[known],
            now[known],
            self._right[known],
            len(self._seen),
        )
