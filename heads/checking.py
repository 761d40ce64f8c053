"""Looking at every byte of the heads of a cache."""

from collections.abc import Iterator
from pathlib import Path

from ..cache.verify import Finding
from .kept import heads_in
from .saving import problem_of


def check_heads(heads: Path) -> Iterator[Finding]:
    """What is wrong with heads, and which are too old to say what they must be."""
    kept, damaged = heads_in(heads)
    for path, problem in damaged:
        yield Finding("head", path, problem)
    for folder, card in kept:
        problem = problem_of(folder)
        if problem:
            yield Finding("head", folder, problem)
        elif not card.weights:
            yield Finding(
                "note", folder, "an older version fitted it: its card does not say what the weights must be"
            )
