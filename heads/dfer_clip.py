"""DFER-CLIP on cached frames: its temporal model learns from labelled clips, between a frozen CLIP and fixed texts.

Scores are 100 v·t_c for the unit vectors v of a clip and t_c of a class's description. The released code fine-tunes
CLIP's image tower too, which a cache of its embeddings cannot; all else of the training is as released, but that the
last epoch counts: the released code reports the epoch that is best on the test fold. Source: Zhao and Patras, BMVC
2023, and its released code.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy, normalize

from ..errors import ExpclipError, UsageError, option
from ..scoring.cosines import are_finite
from ..scoring.samples import Samples
from .descent import generator_of
from .kinds import LabelledSamples, Progress, Trainer, refuse_shapes
from .recipe import LOGIT_SCALE, Recipe
from .shots import refuse_images, refuse_less_than_a_batch
from .temporal import FRAMES, clip_embeddings, initial_weights
from .validated import class_weights

MILESTONES = (30, 40)
"""Epochs after which the learning rate is a tenth of what it was."""
_CLIPS = 256
"""Embedded at once: what bounds the memory."""
_TEXTS = "texts"


class DferClip:
    """A temporal model, and the directions of classes that it leads to."""

    gives_logits = True

    def __init__(self, weights: Mapping[str, torch.Tensor], texts: np.ndarray, classes: tuple[str, ...]):
        self.weights_ = {name: value.detach().float().cpu() for name, value in weights.items()}
        self.texts_, self.classes = np.asarray(texts, dtype=np.float32), tuple(classes)
        self.losses_: list[float] = []
        self.step_losses_: list[float] = []

    @property
    def width(self) -> int:
        """L, of the embeddings that it takes."""
        return self.texts_.shape[1]

    def tensors(self) -> dict[str, np.ndarray]:
        """What a file keeps of it."""
        return {name: value.numpy() for name, value in self.weights_.items()} | {_TEXTS: self.texts_}

    def class_scores(self, samples: Samples) -> np.ndarray:
        """(n, classes) float64. An image is a clip of one frame. Raises UsageError for clips of more than 16."""
        scores = np.empty((len(samples), len(self.classes)))
        texts = torch.from_numpy(self.texts_)
        with torch.no_grad():
            for numbers, frames in _clips(samples):
                found = normalize(clip_embeddings(self.weights_, frames), dim=1) @ texts.T
                scores[numbers] = LOGIT_SCALE * found.numpy()
        return scores


def _clips(samples: Samples) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
    """Numbers of samples (k,) of one length T with their frames (k, T, L) float32, some at a time."""
    rows = _rows(samples)
    lengths = np.array([len(one) for one in rows], dtype=np.int64)
    if len(rows) and lengths.max() > FRAMES:
        raise UsageError(
            f"dfer-clip takes up to {FRAMES} frames of a clip, and there is one of {lengths.max()}: choose "
            f"{option('frames')} edge"
        )
    for length in np.unique(lengths).tolist():
        every = np.flatnonzero(lengths == length)
        for start in range(0, len(every), _CLIPS):
            numbers = every[start : start + _CLIPS]
            yield numbers, _frames(samples, np.stack([rows[number] for number in numbers]))


def _rows(samples: Samples) -> list[np.ndarray]:
    """The rows of each sample in order."""
    if samples.clips is None:
        return list(np.arange(len(samples))[:, None])
    return np.split(samples.clips.indices, samples.clips.offsets[1:-1])


def _frames(samples: Samples, rows: np.ndarray) -> torch.Tensor:
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


def _fit(content: LabelledSamples, recipe: Recipe, progress: Progress | None) -> DferClip:
    """Learn from clips: a permutation of them an epoch, of which the last, smaller batch is dropped."""
    assert content.texts is not None
    rows, size = _rows(content.samples), recipe.batch_size
    _refuse(content, size)
    generator = generator_of(recipe.seed)
    start = initial_weights(content.samples.frames.shape[1], generator)
    weights = {name: value.to(recipe.device).requires_grad_() for name, value in start.items()}
    texts = torch.from_numpy(content.texts).float().to(recipe.device)
    labels, counts = torch.from_numpy(content.labels), class_weights(content).to(recipe.device)
    sgd = torch.optim.SGD(weights.values(), recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.MultiStepLR(sgd, list(MILESTONES))
    losses, steps = [], len(rows) // size
    for epoch in range(recipe.epochs):
        for k, numbers in enumerate(torch.randperm(len(rows), generator=generator).split(size)[:steps]):
            drawn = np.stack([rows[j][train_frames(len(rows[j]), generator)] for j in numbers.tolist()])
            clips = clip_embeddings(weights, _frames(content.samples, drawn).to(recipe.device))
            scores = LOGIT_SCALE * normalize(clips, dim=1) @ texts.T
            loss = cross_entropy(scores, labels[numbers].to(recipe.device), counts)
            sgd.zero_grad()
            loss.backward()
            sgd.step()
            losses.append(float(loss.detach()))
            if progress:
                progress(epoch * steps + k + 1, recipe.epochs * steps)
        if not math.isfinite(losses[-1]):
            raise ExpclipError(f"the loss is {losses[-1]} after epoch {epoch + 1}: choose a smaller {option('lr')}")
        schedule.step()
    head = DferClip(weights, content.texts, content.classes)
    head.step_losses_, head.losses_ = losses, np.reshape(losses, (recipe.epochs, steps)).mean(axis=1).tolist()
    return head


def _refuse(content: LabelledSamples, size: int) -> None:
    """Raise UsageError for images, and where there are fewer clips than a batch; ExpclipError for no numbers."""
    clips = content.samples.clips
    refuse_images("dfer-clip", are_clips=clips is not None and clips.lengths.max() > 1)
    refuse_less_than_a_batch(len(content.samples), size)
    assert clips is not None
    if not are_finite(content.samples.frames[clips.indices]):
        raise ExpclipError("embeddings to learn from are no finite numbers: extract them again")


def _load(tensors: Mapping[str, np.ndarray], spec: Mapping[str, Any]) -> DferClip:
    if len(tensors[_TEXTS]) != len(spec["classes"]):
        raise ValueError(f"it has texts of {len(tensors[_TEXTS])} classes, and its card names {len(spec['classes'])}")
    weights = {name: torch.from_numpy(value) for name, value in tensors.items() if name != _TEXTS}
    return DferClip(weights, tensors[_TEXTS], tuple(spec["classes"]))


def _refuse_others(tensors: Mapping[str, np.ndarray]) -> None:
    width = int(np.size(tensors["class_token"]))
    with torch.device("meta"):
        expected = initial_weights(width, None)
    texts = {_TEXTS: (*np.shape(tensors[_TEXTS])[:1], width)}
    refuse_shapes(tensors, texts | {name: tuple(value.shape) for name, value in expected.items()})


TRAINER = Trainer(_fit, _load, _refuse_others, settings={"milestones": list(MILESTONES), "text": "fixed"})
