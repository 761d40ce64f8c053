"""Evaluations that no model made: scores and predictions at random, written as `evaluate` writes them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from expclip.manifests.manifest import Clips, Manifest, Rows
from expclip.reports.results import write_results
from expclip.scoring.scores import Combination, Evaluation, Predictions, parts_of, scores_of

CLASSES = ("happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear")
PLAIN = Combination(
    dataset="",
    backbone="ViT-L-14",
    head="none",
    head_id="",
    objective="",
    teacher="",
    instruction="",
    train="",
    recipe="",
    seed=None,
    image="clip",
    text="clip",
    prompts="P-1",
    ensemble="logits",
    protocol="released",
    frames="",
    untrained=False,
)
LINEAR = replace(
    PLAIN, head="linear", objective="infonce", instruction="related-1", train="caer-s", recipe="0123abcd"
)


def manifest(name: str, samples: int, classes: Sequence[str] = CLASSES, ids: Sequence[str] = (), folds: int = 0):
    """Images with random labels; each class has one at least."""
    rng = np.random.default_rng(len(name) + samples)
    labels = np.concatenate([np.arange(len(classes)), rng.integers(0, len(classes), samples - len(classes))])
    ids = ids or [f"test_{number:05d}.jpg" for number in range(samples)]
    rows = Rows(tuple(ids), np.ones(samples, dtype=np.int64), np.zeros(samples, dtype=np.int32))
    numbers = rng.integers(1, folds + 1, samples) if folds else np.zeros(samples, dtype=int)
    clips = {"image": Clips.from_lists([[number] for number in range(samples)])}
    arrays = labels.astype(np.int16), numbers.astype(np.int16)
    return Manifest(name, "images", tuple(classes), rows, tuple(ids), *arrays, clips)


def evaluation(
    manifests: Sequence[Manifest],
    heads: int = 2,
    seeds: int = 1,
    prompts: Sequence[str] = ("P-1",),
    backbones: Sequence[str] = ("ViT-L-14",),
    predicted: int | None = None,
) -> Evaluation:
    """Scores with intervals of every combination; predictions of all, or of the first so many of each data set."""
    found = Evaluation([], [])
    rng = np.random.default_rng(0)
    for one in manifests:
        kept = 0
        numbers = np.arange(len(one.sample_ids))
        parts = parts_of(one, numbers, numbers[:0])
        for backbone in backbones:
            plain = {}
            for of in _combinations(replace(PLAIN, dataset=one.name, backbone=backbone), heads, seeds, prompts):
                right = rng.random(len(numbers)) < _share(of, prompts[0], backbones[0])
                similarity = rng.normal(0.2, 0.01, (len(numbers), len(one.classes))).astype(np.float32)
                similarity[right, one.labels[right]] += 0.1
                some = Predictions(of, one, numbers, similarity.argmax(axis=1), similarity)
                over = None if of.head == "none" else plain[of.prompts]
                plain.setdefault(of.prompts, some.predicted)
                found.scores.extend(scores_of(some, parts, True, over))
                if predicted is None or kept < predicted:
                    found.predictions.append(some)
                    kept += 1
    return found


def _share(of: Combination, prompts: str, backbone: str) -> float:
    """Of what is right, about; the first head is the best with the first prompts and backbone."""
    is_best = of.head_id.startswith("000000") and (of.prompts, of.backbone) == (prompts, backbone)
    return 0.4 if of.head == "none" else 0.7 if is_best else 0.5


def _combinations(plain: Combination, heads: int, seeds: int, prompts: Sequence[str]):
    for name in prompts:
        yield replace(plain, prompts=name)
        for head in range(heads):
            for seed in range(seeds):
                of = replace(LINEAR, dataset=plain.dataset, backbone=plain.backbone, prompts=name, seed=seed + 1)
                yield replace(of, head_id=f"{head:06x}{seed:06x}", instruction=f"instruction {head}")


def write_evaluation(folder: Path, found: Evaluation) -> Path:
    """A folder of results."""
    write_results(found, folder, command=f"expclip evaluate --out {folder.name}")
    return folder
