"""DFER-CLIP's temporal model against a plain implementation, its frames, and what it learns from labels."""

import math

import numpy as np
import pytest
import torch
from expclip.errors import ExpclipError, UsageError
from expclip.heads.dfer_clip import train_frames
from expclip.heads.kinds import KINDS, LabelledSamples
from expclip.heads.recipe import Recipe
from expclip.heads.temporal import clip_embeddings, initial_weights
from expclip.manifests.manifest import Clips
from expclip.scoring.samples import Samples

CLASSES, WIDTH = ("happiness", "sadness", "neutral"), 12
TRAINER = KINDS["dfer-clip"].trainer
TEXTS = np.linalg.qr(np.random.default_rng(5).normal(size=(WIDTH, 3)))[0].T
LITTLE = {"epochs": 3, "batch_size": 8, "lr": 0.01}


def plain(weights: dict[str, np.ndarray], frames: np.ndarray) -> np.ndarray:
    """(L,) of one clip (T, L) in float64: pre-norm blocks, heads one by one, the tanh of GELU written out."""
    w = {name: np.asarray(value, dtype=np.float64) for name, value in weights.items()}

    def norm(name: str, x: np.ndarray) -> np.ndarray:
        centred = x - x.mean(axis=1, keepdims=True)
        return (
            centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5) * w[f"{name}.weight"]
            + w[f"{name}.bias"]
        )

    x = np.concatenate([w["class_token"][None], frames]) + w["positions"][: len(frames) + 1]
    for block in range(sum(name.endswith("qkv.weight") for name in w)):
        y = norm(f"{block}.norm1", x) @ w[f"{block}.qkv.weight"].T
        q, k, v = np.split(y, 3, axis=1)
        heads = []
        for start in range(0, q.shape[1], q.shape[1] // 8):
            some = slice(start, start + q.shape[1] // 8)
            near = np.exp(q[:, some] @ k[:, some].T / math.sqrt(q.shape[1] // 8))
            heads.append(near / near.sum(axis=1, keepdims=True) @ v[:, some])
        x = x + np.concatenate(heads, axis=1) @ w[f"{block}.out.weight"].T + w[f"{block}.out.bias"]
        z = norm(f"{block}.norm2", x) @ w[f"{block}.up.weight"].T + w[f"{block}.up.bias"]
        z = 0.5 * z * (1 + np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)))
        x = x + z @ w[f"{block}.down.weight"].T + w[f"{block}.down.bias"]
    return x[0]


def clips_of(lengths: list[int], seed: int, spread: float = 0.5) -> tuple[Samples, np.ndarray]:
    """Clips of some lengths, whose class is where their frames go and not where they are on average; and classes."""
    generator = np.random.default_rng(seed)
    labels = np.arange(len(lengths)) % 3
    ways = np.random.default_rng(1).normal(size=(3, WIDTH))
    frames = [
        np.linspace(-1, 1, n)[:, None] * ways[label] + spread * generator.normal(size=(n, WIDTH))
        for n, label in zip(lengths, labels, strict=True)
    ]
    offsets = np.cumsum([0, *lengths])
    clips = Clips(offsets, np.arange(offsets[-1]))
    return Samples(np.concatenate(frames).astype(np.float16), clips), labels


def learnt(n: int = 30, seed: int = 1, recipe: dict | None = None, **more):
    samples, labels = clips_of([16] * n, seed=2)
    content = LabelledSamples(samples, labels, CLASSES, texts=TEXTS, **more)
    return TRAINER.fit(content, Recipe(seed=seed, **(recipe or LITTLE)), None)


@pytest.mark.parametrize(("depth", "t"), [(1, 16), (2, 16), (1, 3)])
def test_the_temporal_model_is_the_plain_one(depth, t):
    weights = initial_weights(WIDTH, torch.Generator().manual_seed(3), depth)
    weights = {name: value + 0.1 * torch.randn(value.shape) for name, value in weights.items()}  # norms too
    frames = np.random.default_rng(4).normal(size=(2, t, WIDTH)).astype(np.float32)
    found = clip_embeddings(weights, torch.from_numpy(frames)).numpy()
    expected = [plain({name: value.numpy() for name, value in weights.items()}, one) for one in frames]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_it_has_the_released_number_of_parameters():
    assert sum(value.numel() for value in initial_weights(512, None).values()) == 2_110_464


def test_scores_are_a_hundred_cosines_of_whole_clips_with_texts():
    head = learnt()
    samples, _ = clips_of([16, 5, 16, 1], seed=3)
    frames = np.split(samples.frames.astype(np.float64), samples.clips.offsets[1:-1])
    for scores, clip in zip(head.class_scores(samples), frames, strict=True):
        v = plain(head.tensors(), clip)
        np.testing.assert_allclose(scores, 100 * TEXTS @ v / np.linalg.norm(v), atol=1e-3)


@pytest.mark.parametrize("n", [5, 16, 20, 31, 32, 100])
def test_frames_to_learn_from_are_drawn_as_released(n):
    generator = torch.Generator().manual_seed(1)
    drawn = np.stack([train_frames(n, generator) for _ in range(300)])
    if n < 32:
        assert (drawn == np.minimum(np.arange(16), n - 1)).all()
        return
    step = n // 16
    for k in range(16):
        assert set(drawn[:, k]) == set(range(k * step, (k + 1) * step))


def test_it_learns_what_a_mean_of_frames_does_not_show():
    """Frames of every class have the same mean: only their order tells them apart."""
    head = learnt(90, recipe={"epochs": 30, "batch_size": 8, "lr": 0.01})
    samples, labels = clips_of([16] * 60, seed=9)
    assert (head.class_scores(samples).argmax(axis=1) == labels).mean() > 0.9
    assert head.losses_[-1] < head.losses_[0] and len(head.step_losses_) == 30 * (90 // 8)


def test_the_same_seed_gives_the_same_head_and_another_another():
    first, again, other = learnt(), learnt(), learnt(seed=2)
    for name, value in first.tensors().items():
        np.testing.assert_array_equal(value, again.tensors()[name])
    assert not np.array_equal(first.tensors()["positions"], other.tensors()["positions"])


def test_a_saved_head_scores_as_the_fitted_one():
    head = learnt()
    loaded = TRAINER.load(head.tensors(), {"classes": CLASSES})
    samples, _ = clips_of([16, 7], seed=3)
    np.testing.assert_array_equal(loaded.class_scores(samples), head.class_scores(samples))


def test_tensors_of_another_head_are_refused():
    tensors = learnt().tensors()
    TRAINER.refuse(tensors)
    for spoilt in (
        {name: value for name, value in tensors.items() if name != "0.up.bias"},
        tensors | {"0.up.bias": np.zeros(5, np.float32)},
        tensors | {"extra": np.zeros(1, np.float32)},
        tensors | {"texts": np.zeros((3, WIDTH + 1), np.float32)},
    ):
        with pytest.raises(ValueError, match="tensors are not those of such a head"):
            TRAINER.refuse(spoilt)


def test_what_cannot_be_learnt_from_or_scored_is_one_line():
    samples, labels = clips_of([16] * 6, seed=2)
    few = LabelledSamples(samples, labels, CLASSES, texts=TEXTS)
    with pytest.raises(UsageError, match="batch_size 8: a batch needs as many clips, and there are 6 to learn from"):
        TRAINER.fit(few, Recipe(**LITTLE), None)
    alone = Clips(np.arange(7), np.arange(6))
    for images in (Samples(samples.frames), Samples(samples.frames, alone)):
        with pytest.raises(UsageError, match="dfer-clip learns from clips, and these are images"):
            TRAINER.fit(LabelledSamples(images, labels, CLASSES, texts=TEXTS), Recipe(**LITTLE), None)
    samples.frames[3] = np.nan
    with pytest.raises(ExpclipError, match="no finite numbers"):
        TRAINER.fit(LabelledSamples(samples, labels, CLASSES, texts=TEXTS), Recipe(epochs=1, batch_size=2), None)
    with pytest.raises(UsageError, match="up to 16 frames of a clip, and there is one of 20: choose frames edge"):
        learnt().class_scores(clips_of([16, 20], seed=2)[0])


def test_an_image_is_a_clip_of_one_frame():
    head, frames = learnt(), np.random.default_rng(0).normal(size=(2, WIDTH)).astype(np.float32)
    one_by_one = Samples(frames, Clips(np.array([0, 1, 2]), np.array([0, 1])))
    np.testing.assert_array_equal(head.class_scores(Samples(frames)), head.class_scores(one_by_one))
