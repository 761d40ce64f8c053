"""Tip-Adapter against its formula in float64, and what is searched and trained."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from expclip.heads.kinds import KINDS, LabelledSamples
from expclip.heads.recipe import Recipe
from expclip.scoring.samples import Samples

CLASSES = ("happiness", "sadness", "neutral")
KINDS_OF_TIP = ("tip-adapter", "tip-adapter-f")
TEXTS = np.linalg.qr(np.random.default_rng(5).normal(size=(8, 3)))[0].T


def made(n: int, seed: int, **more) -> LabelledSamples:
    """Samples near class centres that are not where the prompts are."""
    generator = np.random.default_rng(seed)
    labels = np.r_[0, 1, 2, generator.choice(3, n - 3, p=[0.6, 0.3, 0.1])]
    centres = np.random.default_rng(0).normal(size=(3, 8)) + TEXTS
    frames = (centres[labels] + 0.8 * generator.normal(size=(n, 8))).astype(np.float32)
    return LabelledSamples(Samples(frames), labels, CLASSES, texts=TEXTS, **more)


def unit(x) -> np.ndarray:
    x = np.asarray(x, dtype=np.float64)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def formula(content: LabelledSamples, keys: np.ndarray, labels: np.ndarray, alpha: float, beta: float) -> np.ndarray:
    """100 f·t + α Σ_i exp(−β (1 − f·f_i)) y_i, sample by sample."""
    scores = 100 * unit(content.samples.means) @ TEXTS.T
    for n, f in enumerate(unit(content.samples.means)):
        for key, label in zip(keys.astype(np.float64), labels, strict=True):
            scores[n, label] += alpha * np.exp(-beta * (1 - f @ key))
    return scores


def fitted(kind: str, seed: int = 1, **more):
    content = made(40, 1, **more)
    content = replace(content, validation=made(60, 2, **more))
    return KINDS[kind].trainer.fit(content, Recipe(seed=seed), None), content


@pytest.mark.parametrize("kind", KINDS_OF_TIP)
def test_it_is_the_formula(kind):
    head, content = fitted(kind)
    test = made(30, 3)
    found = head.text_scale * unit(test.samples.means) @ TEXTS.T + head.class_scores(test.samples)
    expected = formula(test, head.keys_, content.labels, head.alpha_, head.beta_)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    if kind == "tip-adapter":
        np.testing.assert_allclose(head.keys_, unit(content.samples.means), atol=1e-7)


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("kind", KINDS_OF_TIP)
def test_alpha_and_beta_are_the_first_best_of_the_grid_on_what_was_held_out(kind, balanced):
    head, content = fitted(kind, balanced=balanced)
    held_out = content.validation
    near = unit(held_out.samples.means) @ head.keys_.astype(np.float64).T
    best = (-1.0, 0.0, 0.0)
    for beta in 0.1 + 11.9 * np.arange(200) / 200:
        answers = np.exp(-beta * (1 - near)) @ np.eye(3)[content.labels]
        for alpha in 0.1 + 4.9 * np.arange(20) / 20:
            predicted = (100 * unit(held_out.samples.means) @ TEXTS.T + alpha * answers).argmax(axis=1)
            right = predicted == held_out.labels
            good = np.mean([right[held_out.labels == k].mean() for k in range(3)]) if balanced else right.mean()
            best = (good, alpha, beta) if good > best[0] + 1e-12 else best
    assert (head.alpha_, head.beta_) == pytest.approx(best[1:])


def test_trained_keys_follow_adamw_and_the_epoch_that_is_best_on_what_was_held_out():
    """By torch's own layers: the keys as the weights of a linear layer, as the authors have them."""
    head, content = fitted("tip-adapter-f")
    f, labels = torch.tensor(unit(content.samples.means)).float(), torch.tensor(content.labels)
    held_out = torch.tensor(unit(content.validation.samples.means)).float()
    texts = torch.tensor(TEXTS).float()
    adapter = torch.nn.Linear(8, len(f), bias=False)
    adapter.weight = torch.nn.Parameter(f.clone())
    optimiser = torch.optim.AdamW(adapter.parameters(), lr=1e-3, eps=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 20)
    best, kept = -1.0, None

    def scores(of):
        return 100 * of @ texts.T + 3 * ((-1 * (1 - adapter(of))).exp() @ torch.eye(3)[labels])

    for _ in range(20):  # a batch has room for all, whose order changes nothing
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(scores(f), labels).backward()
        optimiser.step()
        schedule.step()
        good = float((scores(held_out).argmax(1).detach() == torch.tensor(content.validation.labels)).float().mean())
        if good > best:
            best, kept = good, adapter.weight.detach().numpy().copy()
    np.testing.assert_allclose(head.keys_, kept, atol=1e-6)
    assert np.abs(head.keys_ - unit(content.samples.means)).max() > 1e-4


@pytest.mark.parametrize("kind", KINDS_OF_TIP)
def test_it_is_the_same_after_it_was_saved(kind):
    head, content = fitted(kind)
    trainer = KINDS[kind].trainer
    trainer.refuse(head.tensors())
    again = trainer.load(head.tensors(), {"classes": list(CLASSES)})
    np.testing.assert_array_equal(again.class_scores(content.samples), head.class_scores(content.samples))
    with pytest.raises(ValueError, match="keys are of other classes than the 2"):
        trainer.load(head.tensors(), {"classes": list(CLASSES[:2])})


@pytest.mark.parametrize("kind", KINDS_OF_TIP)
def test_the_same_seed_gives_the_same_head(kind):
    first, again = (fitted(kind)[0].tensors() for _ in range(2))
    for name, value in first.items():
        np.testing.assert_array_equal(value, again[name])
