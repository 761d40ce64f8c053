"""The linear head of Exp-CLIP: one matrix, trained with the contrastive objective by momentum SGD."""

import math
from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch

from ..errors import ExpclipError, UsageError
from .infonce import infonce
from .products import product

Progress = Callable[[int, int], None]


class LinearHead:
    """Projects CLIP's embeddings into the teacher's space: P(x) = W x, without bias.

    Follows scikit-learn's habits: parameters in the constructor, `fit`, `transform`, results with a trailing
    underscore. `weight_` is (L', L) float32, `losses_` the mean loss of each epoch. The defaults are those of
    Exp-CLIP's released code. Every random choice comes from one CPU generator: first the initial weights, then one
    permutation an epoch.
    """

    def __init__(
        self,
        *,
        epochs: int = 5,
        batch_size: int = 512,
        lr: float = 1e-3,
        momentum: float = 0.9,
        weight_decay: float = 1e-4,
        logit_scale: float = 100.0,
        seed: int = 1,
        precision: str = "float32",
        device: str = "cpu",
    ):
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.logit_scale = logit_scale
        self.seed = seed
        self.precision = precision
        self.device = device

    @classmethod
    def from_weight(cls, weight: np.ndarray) -> "LinearHead":
        """A fitted head from its matrix (L', L)."""
        head = cls()
        head.weight_ = np.ascontiguousarray(weight, dtype=np.float32)
        head.losses_ = []
        return head

    def fit(self, X: np.ndarray, E: np.ndarray, progress: Progress | None = None) -> "LinearHead":
        """Align P(x) with the teacher: X (n, L) image embeddings, E (n, L') teacher embeddings, row by row.

        `progress(done, total)` is called after every step. Raises UsageError where there are fewer rows than a
        batch, ExpclipError where the loss stops being a number.
        """
        if len(X) != len(E):
            raise UsageError(f"X has {len(X)} rows and E has {len(E)}: they must be the same images")
        steps = len(X) // self.batch_size
        if steps == 0:
            raise UsageError(
                f"a batch of {self.batch_size} needs as many rows, and there are {len(X)}: choose a smaller one"
            )
        dtype = torch.float32 if self.precision == "float32" else torch.bfloat16
        images = torch.from_numpy(X).to(self.device, dtype)
        teacher = torch.from_numpy(E).to(self.device)
        length = 1 / torch.linalg.vector_norm(teacher, dim=1, keepdim=True, dtype=torch.float32).clamp_min(1e-12)
        generator = torch.Generator().manual_seed(self.seed)
        weight = initial_weight(X.shape[1], E.shape[1], generator).to(self.device)
        velocity = torch.zeros_like(weight)
        self.losses_: list[float] = []
        for epoch in range(self.epochs):
            order = torch.randperm(len(X), generator=generator).to(self.device)
            total = torch.zeros((), device=self.device)
            for step in range(steps):  # the last, smaller batch is dropped
                batch = order[step * self.batch_size : (step + 1) * self.batch_size]
                unit = teacher[batch].float().mul_(length[batch]).to(dtype)
                total += self._step(images[batch], unit, weight, velocity)
                if progress:
                    progress(epoch * steps + step + 1, self.epochs * steps)
            self.losses_.append(float(total) / steps)
            if not math.isfinite(self.losses_[-1]):
                raise ExpclipError(f"the loss is {self.losses_[-1]} after epoch {epoch + 1}: choose a smaller --lr")
        self.weight_: np.ndarray = weight.cpu().numpy()
        self.__dict__.pop("_gram", None)
        return self

    def _step(
        self, images: torch.Tensor, teacher: torch.Tensor, weight: torch.Tensor, velocity: torch.Tensor
    ) -> torch.Tensor:
        """One step of SGD with momentum and weight decay, in place; products in the number format of `images`."""
        projected = product(images, weight.to(images.dtype).T)
        loss, slope = infonce(projected, teacher, self.logit_scale)
        gradient = product(slope.T, images)
        velocity.mul_(self.momentum).add_(gradient).add_(weight, alpha=self.weight_decay)
        weight.add_(velocity, alpha=-self.lr)
        return loss

    def transform(self, X: np.ndarray) -> np.ndarray:
        """(n, L) embeddings of images or texts to (n, L'), not normalised."""
        return np.asarray(X, dtype=np.float32) @ self.weight_.T

    @cached_property
    def _gram(self) -> np.ndarray:
        """WᵀW (L, L) float32: the length of a projected embedding needs nothing of length L'."""
        return self.weight_.T @ self.weight_

    def similarity(self, images: np.ndarray, texts: np.ndarray) -> np.ndarray:
        """Cosines (n, m) float64 of projected image embeddings (n, L) and text embeddings (m, L)."""
        weight = self.weight_.astype(np.float64)
        directions = _unit(np.asarray(texts, dtype=np.float64) @ weight.T) @ weight
        return _cosines(images, directions, self._gram)


class PlainClip:
    """No head: CLIP as it is."""

    def similarity(self, images: np.ndarray, texts: np.ndarray) -> np.ndarray:
        """Cosines (n, m) float64 of image embeddings (n, L) and text embeddings (m, L)."""
        return _cosines(images, _unit(np.asarray(texts, dtype=np.float64)), None)


def initial_weight(width: int, teacher_width: int, generator: torch.Generator) -> torch.Tensor:
    """(L', L) uniform in ±1/√L, as nn.Linear starts."""
    bound = 1 / math.sqrt(width)
    return torch.empty(teacher_width, width).uniform_(-bound, bound, generator=generator)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _cosines(images: np.ndarray, directions: np.ndarray, gram: np.ndarray | None) -> np.ndarray:
    """Products of images (n, L) with directions (m, L) over the images' lengths in the metric of a Gram matrix.

    The lengths scale whole rows and decide nothing, so float32 is enough for them.
    """
    single = np.asarray(images, dtype=np.float32)
    moved = single if gram is None else single @ gram
    lengths = np.sqrt(np.einsum("nl,nl->n", moved, single, dtype=np.float64))
    return (np.asarray(images, dtype=np.float64) @ directions.T) / lengths[:, None]
