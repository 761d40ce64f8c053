"""The kinds of heads: a new one is a file and a line in this table."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np

from .cosines import Head
from .descent import Progress
from .linear import LinearHead
from .mlp import mlp
from .network import Network, NetworkHead
from .recipe import Recipe
from .ridge import fit_ridge
from .transformer import TRANSFORMER


class SavedHead(Head, Protocol):
    """A fitted head, as files keep it."""

    losses_: list[float]

    def tensors(self) -> dict[str, np.ndarray]:
        """What a file keeps of it."""
        ...


@dataclass(frozen=True)
class Kind:
    """How heads of a kind are fitted, and how they come back from a file."""

    fit: Callable[[np.ndarray, np.ndarray, Recipe, Progress | None], SavedHead]
    load: Callable[[Mapping[str, np.ndarray]], SavedHead]
    sizes: Callable[[int, int], dict[str, Any]] | None = None
    """(L, L') → the sizes that were chosen for it; None where nothing was."""
    is_trained: bool = True
    """Whether it is trained step by step: then it has a seed, an objective and an optimiser."""


def _fit_linear(X: np.ndarray, E: np.ndarray, recipe: Recipe, progress: Progress | None) -> LinearHead:
    return LinearHead(**asdict(recipe)).fit(X, E, progress)


def _network(network: Network) -> Kind:
    def fit(X: np.ndarray, E: np.ndarray, recipe: Recipe, progress: Progress | None) -> NetworkHead:
        return NetworkHead(network, **asdict(recipe)).fit(X, E, progress)

    return Kind(fit, partial(NetworkHead.from_tensors, network), network.sizes)


KINDS = {
    "linear": Kind(_fit_linear, LinearHead.from_tensors),
    "mlp2": _network(mlp(2)),
    "mlp3": _network(mlp(3)),
    "transformer": _network(TRANSFORMER),
    "ridge": Kind(fit_ridge, LinearHead.from_tensors, is_trained=False),
}
