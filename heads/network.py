"""A head that is a small neural network, trained with autograd."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from ..scoring.cosines import cosines
from ..scoring.samples import Samples
from .descent import descend, generator_of
from .kinds import Progress, Trainer, refuse_shapes
from .objectives import OBJECTIVES
from .pairs import TeacherPairs
from .recipe import Recipe

_ROWS = 512
"""Embeddings projected at once: what is between two layers stays in the processor's cache."""


@dataclass(frozen=True)
class Network:
    """What a network is: how its weights start, what it computes with them, and the sizes that were chosen for it."""

    initial: Callable[[int, int, torch.Generator | None], dict[str, torch.Tensor]]
    """(L, L', generator) → the initial weights, drawn in the order of their names."""
    project: Callable[[Mapping[str, torch.Tensor], torch.Tensor], torch.Tensor]
    """(weights, embeddings (n, L)) → (n, L'), not normalised."""
    sizes: Callable[[int, int], dict[str, Any]]
    """(L, L') → what distinguishes it from a network of the same name with other sizes."""
    ends: tuple[str, str]
    """The names of the weights (…, L) that take embeddings, and of those (L', …) that give them."""

    def refuse_others(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Raise ValueError for tensors that are not the weights of such a network, of whatever L and L'."""
        first, last = (np.shape(tensors[name]) for name in self.ends)
        if len(first) != 2 or len(last) != 2:
            raise ValueError(f"{self.ends[0]} and {self.ends[1]} have the shapes {first} and {last}")
        with torch.device("meta"):
            expected = self.initial(first[1], last[0], None)
        refuse_shapes(tensors, {name: tuple(value.shape) for name, value in expected.items()})


class NetworkHead:
    """Projects CLIP's embeddings into the teacher's space by a network.

    Has the methods and habits of `LinearHead`, and its parameters: the fields of `Recipe`. `weights_` maps names to
    float32 tensors on the CPU. Every random choice comes from one CPU generator: first the initial weights, then one
    permutation an epoch. Weight decay is on all weights, as torch.optim.SGD has it.
    """

    def __init__(self, network: Network, **options: Any):
        self.network = network
        self.recipe = Recipe(**options)

    @classmethod
    def from_tensors(
        cls, network: Network, tensors: Mapping[str, np.ndarray], spec: Mapping[str, Any] | None = None
    ) -> "NetworkHead":
        """A fitted head from what `tensors` gave."""
        head = cls(network)
        head.weights_ = {name: torch.from_numpy(value.astype(np.float32)) for name, value in tensors.items()}
        head.losses_, head.step_losses_ = [], []
        return head

    def tensors(self) -> dict[str, np.ndarray]:
        """What a file keeps of it."""
        return {name: value.numpy() for name, value in self.weights_.items()}

    def fit(self, X: np.ndarray, E: np.ndarray, progress: Progress | None = None) -> "NetworkHead":
        """Align P(x) with the teacher: X (n, L) image embeddings, E (n, L') teacher embeddings, row by row.

        `progress(done, total)` is called after every step. Raises UsageError for what is no pairs of finite numbers
        and where there are fewer rows than a batch, ExpclipError where the loss stops being a number.
        """
        return self.learn(TeacherPairs(X, E), progress)

    def learn(self, pairs: TeacherPairs, progress: Progress | None = None) -> "NetworkHead":
        """As `fit`, from pairs that several heads learn from."""
        recipe = self.recipe
        generator = generator_of(recipe.seed)
        start = self.network.initial(pairs.images.width, pairs.teacher.width, generator)
        weights = {name: value.to(recipe.device).requires_grad_() for name, value in start.items()}
        sgd = torch.optim.SGD(
            weights.values(), lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
        )

        def step(images: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
            with torch.autocast(images.device.type, torch.bfloat16, enabled=images.dtype == torch.bfloat16):
                projected = self.network.project(weights, images)
            loss, slope = OBJECTIVES[recipe.objective].loss(projected.detach(), teacher, recipe.logit_scale)
            sgd.zero_grad()
            projected.backward(slope)
            sgd.step()
            return loss

        losses = descend(pairs, recipe, generator, step, progress)
        self.losses_: list[float] = losses.of_epochs
        self.step_losses_: list[float] = losses.of_steps
        self.weights_: dict[str, torch.Tensor] = {name: value.detach().cpu() for name, value in weights.items()}
        return self

    @torch.no_grad()
    def transform(self, X: np.ndarray) -> np.ndarray:
        """(n, L) embeddings of images or texts to (n, L') float32, not normalised."""
        rows = torch.from_numpy(np.asarray(X, dtype=np.float32))
        parts = [self.network.project(self.weights_, some).numpy() for some in rows.split(_ROWS)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def pooled(self, samples: Samples) -> Iterator[np.ndarray]:
        """(n, L') of samples, some at a time."""
        if samples.pools == "behind":
            yield from samples.means_behind(self.transform)
        else:
            starts = range(0, max(len(samples), 1), _ROWS)
            yield from (self.transform(samples.means[start : start + _ROWS]) for start in starts)

    def project(self, samples: Samples) -> np.ndarray:
        """(n, L') of samples: the frames of a clip are averaged behind the network, in the paper before it."""
        return np.concatenate(list(self.pooled(samples)))

    def directions(self, targets: np.ndarray) -> np.ndarray:
        """(m, L') as they are."""
        return targets

    def lengths(self, pooled: np.ndarray) -> np.ndarray:
        """(n,) of projected samples (n, L')."""
        return np.linalg.norm(pooled, axis=1)

    def similarity(self, samples: Samples | np.ndarray, texts: np.ndarray) -> np.ndarray:
        """Cosines (n, m) of projected samples, or image embeddings (n, L), and text embeddings (m, L)."""
        return cosines(self, samples, texts)


def trainer(network: Network) -> Trainer:
    """How heads with a network are fitted and read."""

    def fit(pairs: TeacherPairs, recipe: Recipe, progress: Progress | None) -> NetworkHead:
        return NetworkHead(network, **asdict(recipe)).learn(pairs, progress)

    return Trainer(fit, partial(NetworkHead.from_tensors, network), network.refuse_others, network.sizes)


def initial_layer(inputs: int, outputs: int, generator: torch.Generator | None, name: str) -> dict[str, torch.Tensor]:
    """Weight (outputs, inputs) and bias (outputs,), both uniform in ±1/√inputs, as nn.Linear starts."""
    bound = inputs**-0.5
    return {
        f"{name}.weight": torch.empty(outputs, inputs).uniform_(-bound, bound, generator=generator),
        f"{name}.bias": torch.empty(outputs).uniform_(-bound, bound, generator=generator),
    }
