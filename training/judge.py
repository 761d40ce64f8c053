"""Does a head help? The measurement behind the miniature's card and the test of its effect.

`python -m expclip.training.judge FOLDER` judges a miniature again and writes the verdict into its card.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..encoders.cards import CARD, model_card
from ..encoders.families import Models
from ..heads.linear import LinearHead
from ..heads.linear_fit import initial_weight
from ..manifests.faces.action_units import CLASSES
from ..manifests.prompts import prompt_set
from ..scoring.cosines import PlainClip
from ..scoring.intervals import Intervals, Strata, paired_difference
from ..scoring.metrics import confusion_matrix, uar
from .drawn_faces import draw_pictures

SEEDS = (1, 2, 3)
PROMPTS = "P-3"
INSTRUCTIONS = ("related-1", "unrelated-1", "empty")
_BATCH = 250


@dataclass(frozen=True)
class Faces:
    """Two series of faces: unlabelled ones to fit heads on, and as many of each class to score."""

    fit_series: int
    test_series: int
    fit_count: int = 6000
    test_count: int = 2400


FIT_HEAD = {"lr": 0.1, "epochs": 20}
"""How heads are fitted: 6,000 faces give 11 steps per epoch, and the released code takes 475 small ones in all."""
FRESH = Faces(fit_series=12_121, test_series=13_131)
"""For judging: nothing was ever tuned on these."""


class Trial:
    """The features of the CLIP and the teacher in a folder on some faces, and the heads fitted to them."""

    def __init__(self, folder: Path, how: Mapping[str, Any], faces: Faces, prompts: str):
        models = Models(asked_device="cpu")
        clip, teacher = f"local-dir:{folder}/clip", f"{folder}/teacher"
        fit = draw_pictures(faces.fit_series, faces.fit_count)
        test = draw_pictures(faces.test_series, faces.test_count, len(CLASSES))
        image = models.node("clip_image", clip).load("cpu")
        self._how = how
        self.truth = np.arange(faces.test_count) % len(CLASSES)
        self._fit_images, self._test_images = (_encode(image, pixels) for pixels in (fit, test))
        words = prompt_set(prompts).prompts
        text = models.node("clip_text", clip).load("cpu")
        self._texts = [text(list(words[name])) for name in CLASSES]
        e_q = _encode(models.node("query_tokens", teacher).load("cpu"), fit)
        # in float32, as the built-in miniature is on every CPU
        llm = {name: models.node("llm", teacher, dtype="float32", instruction_name=name) for name in INSTRUCTIONS}
        self._teacher = {name: _encode(node.load("cpu"), e_q) for name, node in llm.items()}
        self._plain = self._predict(PlainClip())

    def plain(self) -> np.ndarray:
        """(n,) predictions of plain CLIP."""
        return self._plain

    def head(self, instruction: str, seed: int) -> np.ndarray:
        """(n,) predictions behind a head fitted to the teacher under an instruction."""
        return self._predict(self._fit(self._teacher[instruction], seed))

    def shuffled(self, seed: int) -> np.ndarray:
        """(n,) predictions behind a head for which each image was paired with another image's embedding."""
        teacher = self._teacher[INSTRUCTIONS[0]]
        return self._predict(self._fit(np.random.default_rng(seed).permutation(teacher), seed))

    def random(self, seed: int) -> np.ndarray:
        """(n,) predictions behind a head's initial weights."""
        shape = self._fit_images.shape[1], self._teacher[INSTRUCTIONS[0]].shape[1]
        weight = initial_weight(*shape, torch.Generator().manual_seed(seed))
        return self._predict(LinearHead.from_weight(weight.numpy()))

    def uar(self, predicted: np.ndarray) -> float:
        """Percent."""
        return uar(confusion_matrix(self.truth, predicted, len(CLASSES)))

    def gain(self, predicted: np.ndarray, over: np.ndarray | None = None) -> Intervals:
        """What predictions gain over others on the same faces, plain CLIP's by default, with 95 % intervals."""
        over = self._plain if over is None else over
        return paired_difference(Strata.of(self.truth), over == self.truth, predicted == self.truth)

    def _fit(self, teacher: np.ndarray, seed: int) -> LinearHead:
        return LinearHead(**self._how, seed=seed).fit(self._fit_images, teacher)

    def _predict(self, head: LinearHead | PlainClip) -> np.ndarray:
        cosines = [head.similarity(self._test_images, texts).mean(axis=1) for texts in self._texts]
        return np.stack(cosines, axis=1).argmax(axis=1)


def _encode(encoder, inputs: np.ndarray) -> np.ndarray:
    """Features as a store holds them: in float16."""
    parts = [encoder(inputs[k : k + _BATCH]) for k in range(0, len(inputs), _BATCH)]
    return np.concatenate(parts).astype(np.float16)


def verdict(folder: Path, faces: Faces = FRESH) -> dict[str, Any]:
    """What a card tells: UAR in percent on some faces, by what stands behind the CLIP, for each head seed."""
    trial = Trial(folder, FIT_HEAD, faces, PROMPTS)
    found: dict[str, Any] = {"plain CLIP": trial.uar(trial.plain())}
    for instruction in INSTRUCTIONS:
        found[instruction] = [trial.uar(trial.head(instruction, seed)) for seed in SEEDS]
    found["shuffled"] = [trial.uar(trial.shuffled(seed)) for seed in SEEDS]
    found["random"] = [trial.uar(trial.random(seed)) for seed in SEEDS]
    measured = asdict(faces) | {"prompts": PROMPTS, "measure": "UAR, %"}
    return {"fit_head": FIT_HEAD, "evaluated on": measured, "evaluation": found}


def write_card(card: Mapping[str, Any], folder: Path) -> None:
    (folder / CARD).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder", type=Path)
    judged = options.parse_args().folder
    write_card(model_card(judged) | verdict(judged), judged)
