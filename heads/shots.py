"""Which labelled samples a head learns from, and which are held out to choose numbers by: drawn by seed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import UsageError, option

MOST_HELD_OUT = 4
"""A class, where shots are drawn. Source: CoOp's few-shot lists."""
SHARE = 0.2
"""Of each class that is held out where no shots are drawn."""
RULE = f"whole samples by class, one of each id; with shots as many, up to {MOST_HELD_OUT}"
"""How samples are held out, as cards say it."""


@dataclass(frozen=True)
class Draw:
    """How samples are drawn."""

    shots: int | None
    """Samples of each class to learn from; None is all that are not held out."""
    share: float | None
    """Of each class's samples to hold out, where no shots are drawn; None holds nothing out."""
    seed: tuple[int, ...]

    def held_out(self, n: int) -> int:
        """How many of the n samples of a class are held out."""
        if self.share is None:
            return 0
        return min(self.shots, MOST_HELD_OUT) if self.shots else max(1, round(self.share * n))

    def least(self) -> int:
        """How many samples a class must have."""
        return (self.shots or 1) + self.held_out(0)


def refuse_images(head: str, are_clips: bool) -> None:
    """Raise UsageError where a head that sees how a clip goes on is to learn from images."""
    if not are_clips:
        raise UsageError(f"{head} learns from clips, and these are images: choose linear-probe or tip-adapter")


def refuse_less_than_a_batch(clips: int, size: int) -> None:
    """Raise UsageError where there are fewer clips to learn from than a batch takes."""
    if clips < size:
        raise UsageError(
            f"{option('batch_size')} {size}: a batch needs as many clips, and there are {clips} to learn from: give "
            f"a smaller one"
        )


def first_of_each(ids: Sequence[str], numbers: np.ndarray) -> np.ndarray:
    """Those of some sample numbers whose ids do not come earlier among them: a clip that is listed twice is one."""
    first = {ids[int(number)]: int(number) for number in reversed(numbers)}
    return np.sort(np.array(list(first.values()), dtype=np.int64))


def refuse_too_few(where: str, labels: np.ndarray, classes: Sequence[str], draw: Draw) -> None:
    """Raise UsageError where a class has fewer samples (n,) of `where` than are drawn."""
    counts = np.bincount(labels, minlength=len(classes)).tolist()
    absent = [name for name, count in zip(classes, counts, strict=True) if not count]
    if absent:
        there = [name for name in classes if name not in absent]
        leave = f"leave it out with {option('classes')} {','.join(there)}" if len(there) > 1 else "choose another"
        raise UsageError(
            f"{where} has no sample of {', '.join(absent)}, and a head learns from samples of every class: {leave}"
        )
    name, fewest = min(zip(classes, counts, strict=True), key=lambda one: one[1])
    if fewest < draw.least():
        held_out = draw.held_out(0)
        what = f"{draw.shots or 1} to learn from" + (f" and {held_out} to validate by" if held_out else "")
        less = f"choose fewer {option('shots')}" if draw.shots and draw.shots > 1 else "give more"
        raise UsageError(f"{where} has {fewest} of {name}, and {what} are needed: {less}")


def drawn(labels: np.ndarray, draw: Draw) -> tuple[np.ndarray, np.ndarray]:
    """Places among labels (n,) of what is learnt from and of what is held out, in order.

    Each class is shuffled in turn by one generator; the first are held out, and those after them are learnt from.
    """
    generator = np.random.default_rng(draw.seed)
    learnt, held_out = [], []
    for label in np.unique(labels):
        places = generator.permutation(np.flatnonzero(labels == label))
        start = draw.held_out(len(places))
        held_out.append(places[:start])
        learnt.append(places[start : start + draw.shots if draw.shots else None])
    return np.sort(np.concatenate(learnt)), np.sort(np.concatenate(held_out))
