"""DFER-CLIP on cached frames: its temporal model and its prompts learn from labelled clips, behind a frozen CLIP.

Scores are 100 v·t_c for the unit vectors v of a clip and t_c of a class's prompt. The released code fine-tunes CLIP's
image tower too, which a cache of its embeddings cannot. CoOp, as DFER-CLIP's authors compare with it, is the same
with the mean of frames in place of the temporal model. Source: Zhao and Patras, BMVC 2023, and its released code.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch

from ..errors import UsageError, option
from ..scoring.samples import Samples
from .clip_training import FRAMES, MILESTONES, OF_CONTEXT, OF_TEXTS, Training, Way, class_scores
from .clip_training import train_frames as train_frames
from .kinds import LabelledSamples, Progress, Trainer, refuse_shapes
from .recipe import Recipe
from .shots import refuse_images
from .temporal import clip_embeddings, initial_weights

TEMPORAL = Way(initial_weights, clip_embeddings, FRAMES)
MEAN = Way(lambda width, generator: {}, lambda weights, frames: frames.mean(dim=1))


class PromptedClips:
    """How a clip becomes one embedding, and the directions of classes that it is led to."""

    gives_logits = True

    def __init__(
        self,
        way: Way,
        weights: Mapping[str, torch.Tensor],
        texts: np.ndarray,
        classes: tuple[str, ...],
        context: torch.Tensor | None = None,
    ):
        self.weights_ = {name: value.detach().float().cpu() for name, value in weights.items()}
        self.texts_, self.classes = np.asarray(texts, dtype=np.float32), tuple(classes)
        self.context_ = context
        self._way = way
        self.losses_: list[float] = []
        self.step_losses_: list[float] = []

    @property
    def width(self) -> int:
        """L, of the embeddings that it takes."""
        return self.texts_.shape[1]

    def tensors(self) -> dict[str, np.ndarray]:
        """What a file keeps of it."""
        context = {} if self.context_ is None else {OF_CONTEXT: self.context_.numpy()}
        return {name: value.numpy() for name, value in self.weights_.items()} | {OF_TEXTS: self.texts_} | context

    def class_scores(self, samples: Samples) -> np.ndarray:
        """(n, classes) float64. An image is a clip of one frame.

        Raises UsageError for clips of more frames than a temporal model takes.
        """
        most = self._way.most_frames
        longest = 1 if samples.clips is None else int(samples.clips.lengths.max(initial=0))
        if most is not None and longest > most:
            raise UsageError(
                f"dfer-clip takes up to {most} frames of a clip, and there is one of {longest}: choose "
                f"{option('frames')} edge"
            )
        return class_scores(self._way, self.weights_, self.texts_, samples)


def _fit(way: Way, content: LabelledSamples, recipe: Recipe, progress: Progress | None) -> PromptedClips:
    clips = content.samples.clips
    if way is TEMPORAL:
        refuse_images("dfer-clip", are_clips=clips is not None and clips.lengths.max() > 1)
    learnt = Training(way, content, recipe).fit(progress)
    head = PromptedClips(way, learnt.weights, learnt.texts, content.classes, learnt.context)
    head.losses_, head.step_losses_ = learnt.losses, learnt.step_losses
    return head


def _load(way: Way, tensors: Mapping[str, np.ndarray], spec: Mapping[str, Any]) -> PromptedClips:
    known = {name: torch.from_numpy(value) for name, value in tensors.items()}
    texts, context = known.pop(OF_TEXTS), known.pop(OF_CONTEXT, None)
    if len(texts) != len(spec["classes"]):
        raise ValueError(f"it has texts of {len(texts)} classes, and its card names {len(spec['classes'])}")
    return PromptedClips(way, known, texts.numpy(), tuple(spec["classes"]), context)


def _refuse_others(way: Way, tensors: Mapping[str, np.ndarray]) -> None:
    classes, width = np.shape(tensors[OF_TEXTS])
    with torch.device("meta"):
        expected: dict[str, tuple[object, ...]] = {
            name: tuple(value.shape) for name, value in way.initial(width, None).items()
        }
    expected[OF_TEXTS] = (classes, width)
    if OF_CONTEXT in tensors:
        sets, *sizes = np.shape(tensors[OF_CONTEXT])
        expected[OF_CONTEXT] = (sets if sets in (1, classes) else classes, *sizes)
    refuse_shapes(tensors, expected)


def _trainer(way: Way) -> Trainer:
    settings = {"milestones": list(MILESTONES)}
    return Trainer(partial(_fit, way), partial(_load, way), partial(_refuse_others, way), settings=settings)


TRAINER, COOP = _trainer(TEMPORAL), _trainer(MEAN)
