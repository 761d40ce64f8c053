"""The training of heads that lead clips to texts, as DFER-CLIP's released code has it, epoch by epoch.

SGD with momentum, a tenth of the rate behind each milestone; every epoch is a permutation of the clips, of which the
last, smaller batch is dropped. Source: Zhao and Patras, BMVC 2023, and its released code.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy, normalize

from ..errors import ExpclipError, option
from ..scoring.cosines import are_finite
from ..scoring.samples import Samples
from .clip_recipe import CORRECTED, RELEASED, ClipTraining
from .contexts import LearntPrompts
from .descent import generator_of
from .kinds import LabelledSamples, Progress
from .recipe import LOGIT_SCALE, Recipe
from .shots import refuse_less_than_a_batch
from .unfinished import EPOCHS, Unfinished
from .validated import class_weights, quality

MILESTONES = (30, 40)
"""Epochs after which the learning rate is a tenth of what it was."""
FRAMES = 16
"""That are drawn of a clip."""
OF_TEXTS, OF_CONTEXT = "texts", "context"
"""What the tensors of directions and of a learnt context are called in files."""
_CLIPS = 256
"""Embedded at once: what bounds the memory."""

Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Way:
    """How the frames of a clip become one embedding."""

    initial: Callable[[int, torch.Generator | None], dict[str, torch.Tensor]]
    """(L, generator) → the weights that are learnt for it, perhaps none."""
    embed: Callable[[Tensors, torch.Tensor], torch.Tensor]
    """(weights, frames (k, T, L)) → (k, L), not normalised."""
    most_frames: int | None = None
    """Of a clip that it takes; None is any number."""


@dataclass(frozen=True)
class Learnt:
    """What was learnt, after the epoch that counts."""

    weights: dict[str, torch.Tensor]
    context: torch.Tensor | None
    """(classes or 1, tokens, W); None where texts are fixed."""
    texts: np.ndarray
    """(classes, L) float32 unit vectors that clips are led to."""
    step_losses: list[float]
    losses: list[float]
    """The mean of each epoch."""


def rows_of(samples: Samples) -> list[np.ndarray]:
    """The rows of each sample in order."""
    if samples.clips is None:
        return list(np.arange(len(samples))[:, None])
    return np.split(samples.clips.indices, samples.clips.offsets[1:-1])


def frames_of(samples: Samples, rows: np.ndarray) -> torch.Tensor:
    """(k, T, L) float32 of rows (k, T)."""
    return torch.from_numpy(samples.frames[rows].astype(np.float32))


def train_frames(n: int, generator: torch.Generator) -> np.ndarray:
    """(16,) numbers of the frames to learn from of a clip of n, as the released code draws them.

    Frame i of 16 is drawn from i·w … i·w + w − 1 with w = n // 16, so that the last n mod 16 frames are never seen,
    and of fewer than 32 just the first 16. A clip of fewer than 16 is padded with its last frame.
    """
    step = n // FRAMES
    if step == 0:
        return np.minimum(np.arange(FRAMES), n - 1)
    return np.arange(FRAMES) * step + torch.randint(step, (FRAMES,), generator=generator).numpy()


def corrected_train_frames(n: int, generator: torch.Generator) -> np.ndarray:
    """(16,) numbers of frames of a clip of n, one of each of 16 parts that cover it all.

    Part i is ⌊i·n/16⌋ … ⌊(i + 1)·n/16⌋ − 1. A clip of fewer than 16 frames is padded with its last one.
    """
    if n < FRAMES:
        return np.minimum(np.arange(FRAMES), n - 1)
    starts = np.arange(FRAMES + 1) * n // FRAMES
    share = torch.rand(FRAMES, generator=generator, dtype=torch.float64).numpy()
    return starts[:-1] + (share * np.diff(starts)).astype(np.int64)


_SAMPLERS = {RELEASED: train_frames, CORRECTED: corrected_train_frames}


class Training:
    """A fit under way."""

    def __init__(self, way: Way, content: LabelledSamples, recipe: Recipe):
        """Raises UsageError where there are fewer clips than a batch, ExpclipError for what is no numbers."""
        self._way, self._content, self._recipe = way, content, recipe
        self._how = content.training or ClipTraining()
        self._rows = rows_of(content.samples)
        refuse_less_than_a_batch(len(self._rows), recipe.batch_size)
        if not are_finite(content.samples.frames[np.concatenate(self._rows)]):
            raise ExpclipError("embeddings to learn from are no finite numbers: extract them again")
        self._steps = len(self._rows) // recipe.batch_size
        self._labels, self._counts = torch.from_numpy(content.labels), class_weights(content).to(recipe.device)
        self._generator = generator_of(recipe.seed)
        start = way.initial(content.samples.frames.shape[1], self._generator)
        self._weights = {name: value.to(recipe.device).requires_grad_() for name, value in start.items()}
        self._prompts, self._context = self._learnable(content)
        groups: list[dict[str, Any]] = [{"params": list(self._weights.values()), "first": recipe.lr}]
        if self._context is not None:
            groups.append({"params": [self._context], "first": self._how.contexts.lr})
        groups = [group for group in groups if group["params"]]
        self._sgd = torch.optim.SGD(groups, recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay)
        self._losses: list[float] = []
        self._best: tuple[float, dict[str, np.ndarray]] | None = None

    def _learnable(self, content: LabelledSamples) -> tuple[LearntPrompts | None, torch.Tensor | None]:
        how, device = self._how, self._recipe.device
        if how.prompts is None:
            assert content.texts is not None
            self._fixed = torch.from_numpy(content.texts).float().to(device)
            return None, None
        prompts = LearntPrompts(how.prompts, how.contexts)
        return prompts, prompts.initial(self._generator).to(device).requires_grad_()

    def fit(self, progress: Progress | None) -> Learnt:
        """Learn, from where an earlier run was broken off. Raises ExpclipError where it comes to nothing."""
        epochs, kept = self._recipe.epochs, self._how.unfinished
        for epoch in range(self._resumed(kept) if kept else 0, epochs):
            self._losses += self._epoch(epoch, progress)
            reached = self._reached()
            self._refuse_no_numbers(epoch, reached)
            self._look_back(reached)
            if kept and epoch + 1 < epochs:
                kept.write(self._state(reached) | {EPOCHS: np.array([epoch + 1])})
        found = self._best[1] if self._best else self._reached()
        by_epoch = np.reshape(self._losses, (epochs, self._steps)).mean(axis=1).tolist()
        weights = {name: torch.from_numpy(found[name]) for name in self._weights}
        context = torch.from_numpy(found[OF_CONTEXT]) if self._context is not None else None
        return Learnt(weights, context, found[OF_TEXTS], self._losses, by_epoch)

    def _refuse_no_numbers(self, epoch: int, reached: Mapping[str, np.ndarray]) -> None:
        """Raise ExpclipError where steps were so long that the loss, or what is learnt, is no number any more."""
        of_both = f" or {option('context_lr')}" if self._weights and self._context is not None else ""
        todo = f"after epoch {epoch + 1}: choose a smaller {option('lr')}{of_both}"
        if not math.isfinite(self._losses[-1]):
            raise ExpclipError(f"the loss is {self._losses[-1]} {todo}")
        if not all(np.isfinite(value).all() for value in reached.values()):
            raise ExpclipError(f"what is learnt is no finite numbers {todo}")

    def _epoch(self, epoch: int, progress: Progress | None) -> Iterator[float]:
        """The loss of each step."""
        for group in self._sgd.param_groups:
            group["lr"] = group["first"] * 0.1 ** sum(epoch >= one for one in MILESTONES)
        order = torch.randperm(len(self._rows), generator=self._generator)
        for k, numbers in enumerate(order.split(self._recipe.batch_size)[: self._steps]):
            yield self._step(numbers)
            if progress:
                progress(epoch * self._steps + k + 1, self._recipe.epochs * self._steps)

    def _step(self, numbers: torch.Tensor) -> float:
        drawn = np.stack([self._drawn(self._rows[number]) for number in numbers.tolist()])
        frames = frames_of(self._content.samples, drawn).to(self._recipe.device)
        clips = normalize(self._way.embed(self._weights, frames), dim=1)
        labels = self._labels[numbers].to(self._recipe.device)
        loss = cross_entropy(LOGIT_SCALE * clips @ self._directions().T, labels, self._counts)
        self._sgd.zero_grad()
        loss.backward()
        self._sgd.step()
        return float(loss.detach())

    def _drawn(self, rows: np.ndarray) -> np.ndarray:
        if self._content.samples.clips is None or self._how.sampler is None:
            return rows
        return rows[_SAMPLERS[self._how.sampler](len(rows), self._generator)]

    def _directions(self) -> torch.Tensor:
        """(classes, L) unit vectors of the texts as they are by now."""
        if self._prompts is None or self._context is None:
            return self._fixed
        return self._prompts.directions(self._context)

    def _reached(self) -> dict[str, np.ndarray]:
        """The weights, the context and the texts as they are by now; copies."""
        with torch.no_grad():
            found = {**self._weights, OF_TEXTS: self._directions()}
            found |= {} if self._context is None else {OF_CONTEXT: self._context}
            return {name: value.detach().float().cpu().numpy().copy() for name, value in found.items()}

    def _look_back(self, reached: dict[str, np.ndarray]) -> None:
        """Keep this epoch if it is better than those before on what was held out, if anything was."""
        held_out = self._content.validation
        if held_out is None:
            return
        weights = {name: torch.from_numpy(reached[name]) for name in self._weights}
        scores = class_scores(self._way, weights, reached[OF_TEXTS], held_out.samples)
        found = quality(held_out)(scores.argmax(axis=1))
        if self._best is None or found > self._best[0]:
            self._best = found, reached

    def _state(self, reached: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """All that the next epoch depends on."""
        state = {f"now.{name}": value for name, value in reached.items()}
        for name, value in self._learnt().items() if self._recipe.momentum else ():  # else there is none
            state[f"momentum.{name}"] = self._sgd.state[value]["momentum_buffer"].cpu().numpy()
        state |= {"losses": np.array(self._losses), "generator": self._generator.get_state().numpy()}
        if self._best is not None:
            state |= {f"best.{name}": value for name, value in self._best[1].items()}
            state["quality"] = np.array([self._best[0]])
        return state

    def _learnt(self) -> dict[str, torch.Tensor]:
        return self._weights if self._context is None else {**self._weights, OF_CONTEXT: self._context}

    def _resumed(self, kept: Unfinished) -> int:
        """Go on where an earlier run was broken off; returns the epoch that is next.

        Raises ExpclipError where what is kept is that of another fit.
        """
        state = kept.read()
        if state is None:
            return 0
        if not self._is_own(state):
            raise ExpclipError(
                f"{kept.file}: what an earlier run reached is of another fit, or of another version: remove the "
                f"file, and run the command again"
            )
        with torch.no_grad():
            for name, value in self._learnt().items():
                value.copy_(torch.from_numpy(state[f"now.{name}"]))
                if self._recipe.momentum:
                    buffer = torch.from_numpy(state[f"momentum.{name}"]).to(value)
                    self._sgd.state[value]["momentum_buffer"] = buffer
        self._generator.set_state(torch.from_numpy(state["generator"]))
        self._losses = state["losses"].tolist()
        best = {name.removeprefix("best."): value for name, value in state.items() if name.startswith("best.")}
        self._best = (float(state["quality"][0]), best) if best else None
        return int(state[EPOCHS][0])

    def _is_own(self, state: Mapping[str, np.ndarray]) -> bool:
        """Whether a state has the tensors that one of this fit has, and numbers that it can come to."""
        epochs = int(state[EPOCHS][0])
        own: dict[str, np.ndarray] = {EPOCHS: state[EPOCHS], "losses": np.zeros(epochs * self._steps)}
        own["generator"] = self._generator.get_state().numpy()
        reached = self._reached()
        own |= {f"now.{name}": value for name, value in reached.items()}
        own |= {f"momentum.{name}": reached[name] for name in self._learnt()} if self._recipe.momentum else {}
        if self._content.validation is not None:
            own |= {f"best.{name}": value for name, value in reached.items()} | {"quality": np.zeros(1)}
        return (
            epochs < self._recipe.epochs
            and own.keys() == state.keys()
            and all(
                value.shape == state[name].shape and value.dtype == state[name].dtype for name, value in own.items()
            )
            and all(np.isfinite(value).all() for value in state.values())
        )


def class_scores(way: Way, weights: Tensors, texts: np.ndarray, samples: Samples) -> np.ndarray:
    """(n, classes) float64: a hundred cosines of samples with the unit vectors (classes, L) of texts."""
    scores, directions = np.empty((len(samples), len(texts))), torch.from_numpy(texts)
    with torch.no_grad():
        for numbers, rows in samples.of_one_length(lambda length: _CLIPS):
            found = normalize(way.embed(weights, frames_of(samples, rows)), dim=1) @ directions.T
            scores[numbers] = LOGIT_SCALE * found.numpy()
    return scores
