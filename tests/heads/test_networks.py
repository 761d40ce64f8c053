"""Heads that are networks, against torch's own layers, losses and optimiser in float64."""

import numpy as np
import pytest
import torch
from expclip import ExpclipError, LinearHead, UsageError
from expclip.heads.kinds import KINDS, TeacherPairs
from expclip.heads.objectives import OBJECTIVES
from expclip.heads.recipe import Recipe
from expclip.manifests.manifest import Clips
from expclip.scoring.samples import Samples
from heads_by_hand import module, project
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import made_up_features
from torch.nn.functional import cross_entropy, normalize

NETWORKS = ("mlp2", "mlp3", "transformer")
RECIPE = {"epochs": 3, "batch_size": 64, "lr": 1e-3, "momentum": 0.9, "weight_decay": 1e-2, "seed": 7}


def fitted(kind: str, X, E, **changes):
    return KINDS[kind].trainer.fit(TeacherPairs(X, E), Recipe(**RECIPE | changes), None)


def loss_by_hand(objective: str, projected: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """METHOD: infonce on cosines times 100; mse summed over L' and averaged over the batch, nothing normalised."""
    if objective == "mse":
        return (projected - teacher).square().sum(dim=1).mean()
    logits = 100 * normalize(projected, dim=1) @ normalize(teacher, dim=1).T
    own = torch.arange(len(logits))
    return (cross_entropy(logits, own) + cross_entropy(logits.T, own)) / 2


def trained_by_hand(kind: str, start: dict, X, E, objective: str, generator: torch.Generator, recipe: dict):
    """torch's layers, autograd and optimiser in float64, from some initial weights."""
    head = module(kind, start)
    sgd = torch.optim.SGD(
        head.parameters(), lr=recipe["lr"], momentum=recipe["momentum"], weight_decay=recipe["weight_decay"]
    )
    for _ in range(recipe["epochs"]):
        for batch in torch.randperm(len(X), generator=generator).split(recipe["batch_size"])[: len(X) // 64]:
            sgd.zero_grad()
            loss_by_hand(
                objective, head(torch.from_numpy(X)[batch].double()), torch.from_numpy(E)[batch].double()
            ).backward()
            sgd.step()
    return head


def started(kind: str, width: int, teacher_width: int) -> tuple[dict, torch.Generator]:
    """Initial weights of a seed, and the generator that drew them."""
    generator = torch.Generator().manual_seed(RECIPE["seed"])
    if kind == "linear":
        weight = torch.empty(teacher_width, width)
        torch.nn.init.kaiming_uniform_(weight, a=5**0.5, generator=generator)
        return {"weight": weight.numpy()}, generator
    drawn = KINDS[kind].trainer.load({}, {}).network.initial(width, teacher_width, generator)
    return {name: value.numpy() for name, value in drawn.items()}, generator


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("kind", ["linear", *NETWORKS])
def test_fit_equals_torchs_own_training_in_float64(kind, objective):
    X, E = made_up_features(width=128 if kind == "transformer" else 24)
    start, generator = started(kind, X.shape[1], E.shape[1])
    recipe = RECIPE | ({"lr": 1e-4} if X.shape[1] == 128 else {})
    by_hand = trained_by_hand(kind, start, X, E, objective, generator, recipe)
    head = fitted(kind, X, E, objective=objective, lr=recipe["lr"])
    mine, zero = module(kind, head.tensors()).state_dict(), module(kind, start).state_dict()
    for name, expected in by_hand.state_dict().items():
        difference = torch.linalg.norm(mine[name] - expected) / torch.linalg.norm(expected - zero[name])
        assert difference <= 1e-3, name
    assert head.losses_[-1] < head.losses_[0]


def test_the_layers_of_an_mlp_start_one_after_the_other_as_torchs_own():
    X, E = made_up_features()
    start = fitted("mlp3", X, E, epochs=0).tensors()
    generator = torch.Generator().manual_seed(RECIPE["seed"])
    for layer, (inputs, outputs) in enumerate([(24, 48), (48, 48), (48, 40)]):
        weight = torch.empty(outputs, inputs)
        torch.nn.init.kaiming_uniform_(weight, a=5**0.5, generator=generator)
        np.testing.assert_allclose(start[f"{layer}.weight"], weight.numpy(), rtol=1e-6)
        if layer < 2:
            bias = torch.empty(outputs).uniform_(-(inputs**-0.5), inputs**-0.5, generator=generator)
            np.testing.assert_array_equal(start[f"{layer}.bias"], bias.numpy())
    assert "2.bias" not in start


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("width", [24, 128])
def test_similarity_is_the_cosine_after_the_network(kind, width):
    X, E = made_up_features(width=width)
    head = fitted(kind, X, E, epochs=1, lr=1e-4)
    a, b = (project(kind, head.tensors(), some) for some in (X[:50], X[50:55]))
    np.testing.assert_allclose(head.transform(X[:50]), a, rtol=1e-4, atol=1e-4)
    expected = (a / np.linalg.norm(a, axis=1, keepdims=True)) @ (b / np.linalg.norm(b, axis=1, keepdims=True)).T
    np.testing.assert_allclose(head.similarity(X[:50], X[50:55]), expected, atol=1e-6)


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_head_is_what_its_tensors_and_its_seed_are(kind):
    X, E = made_up_features()
    head, other = fitted(kind, X, E, epochs=1), fitted(kind, X, E, epochs=1, seed=8)
    again = KINDS[kind].trainer.load(head.tensors(), {})
    np.testing.assert_array_equal(again.transform(X), head.transform(X))
    np.testing.assert_array_equal(fitted(kind, X, E, epochs=1).transform(X), head.transform(X))
    assert not np.allclose(other.transform(X), head.transform(X))


@pytest.mark.parametrize("kind", NETWORKS)
def test_bfloat16_products_learn_nearly_the_same(kind):
    X, E = made_up_features()
    exact, coarse, start = (
        fitted(kind, X, E, **change).transform(X) for change in ({}, {"precision": "bfloat16"}, {"epochs": 0})
    )
    assert 0 < np.linalg.norm(coarse - exact) <= 0.1 * np.linalg.norm(exact - start)


@pytest.mark.parametrize("kind", NETWORKS)
def test_what_cannot_be_trained_is_refused(kind):
    X, E = made_up_features(rows=63)
    with pytest.raises(UsageError, match="a batch of 64 needs as many rows, and there are 63"):
        fitted(kind, X, E)
    X, E = made_up_features()
    with pytest.raises(UsageError, match="700 rows and E has 699"):
        fitted(kind, X, E[1:])
    with pytest.raises(ExpclipError, match="smaller lr"):
        fitted(kind, X, E, objective="mse", lr=1e30)


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(2, 9),
    width=st.integers(1, 12),
    name=st.sampled_from(sorted(OBJECTIVES)),
)
def test_the_gradients_written_by_hand_are_autograds(seed, rows, width, name):
    generator = torch.Generator().manual_seed(seed)
    projected = torch.randn(rows, width, generator=generator).requires_grad_()
    teacher = torch.randn(rows, width, generator=generator)
    given = normalize(teacher, dim=1) if OBJECTIVES[name].unit_teacher else teacher
    loss, gradient = OBJECTIVES[name].loss(projected.detach(), given, 100.0)
    expected = loss_by_hand(name, projected.double(), teacher.double())
    expected.backward()
    torch.testing.assert_close(loss, expected.detach().float(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(gradient, projected.grad, rtol=1e-3, atol=1e-2 if name == "infonce" else 1e-5)


@pytest.mark.parametrize("kind", ["linear", "mlp2"])
def test_the_frames_of_a_clip_are_projected_and_then_averaged(kind):
    X, E = made_up_features()
    head = fitted(kind, X, E, epochs=1)
    clips = [[k, k, 699 - k, (7 * k) % 700][: 1 + k % 4] for k in range(70)]
    texts = X[:3]
    frames, words = (project(kind, head.tensors(), some) for some in (X, texts))
    means = np.stack([frames[clip].mean(axis=0) for clip in clips])
    expected = (means / np.linalg.norm(means, axis=1, keepdims=True)) @ (
        words / np.linalg.norm(words, axis=1, keepdims=True)
    ).T
    np.testing.assert_allclose(head.similarity(Samples(X, Clips.from_lists(clips)), texts), expected, atol=1e-6)
    pooled = head.similarity(np.stack([X[clip].mean(axis=0, dtype=np.float64) for clip in clips]), texts)
    np.testing.assert_allclose(
        head.similarity(Samples(X, Clips.from_lists(clips), pools="before"), texts), pooled, atol=1e-6
    )
    assert np.allclose(pooled, expected, atol=1e-6) == (kind == "linear") == KINDS[kind].is_linear


def test_a_data_set_without_clips_that_can_be_scored_has_no_cosines():
    X, _ = made_up_features()
    head = LinearHead.from_weight(np.eye(24))
    assert head.similarity(Samples(X, Clips.from_lists([])), X[:3]).shape == (0, 3)
