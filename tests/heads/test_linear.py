"""The linear head against loops and formulas written independently of it."""

import numpy as np
import pytest
import torch
from expclip import ExpclipError, LinearHead, UsageError
from expclip.heads.losses import infonce
from expclip.scoring.cosines import PlainClip
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import made_up_features


def released_loop(X, E, *, seed, epochs, batch_size, lr, momentum, weight_decay, scale, dtype):
    """nn.Linear, autograd, cross_entropy and torch.optim.SGD, on the same batches: (W, W at the start)."""
    generator = torch.Generator().manual_seed(seed)
    head = torch.nn.Linear(X.shape[1], E.shape[1], bias=False, dtype=torch.float32)
    torch.nn.init.kaiming_uniform_(head.weight, a=5**0.5, generator=generator)
    start = head.weight.detach().clone().to(dtype)
    head = head.to(dtype)
    optimiser = torch.optim.SGD(head.parameters(), lr=lr, momentum=momentum, weight_decay=weight_decay)
    targets = torch.arange(batch_size)
    for _ in range(epochs):
        order = torch.randperm(len(X), generator=generator)
        for batch in order.split(batch_size):
            if len(batch) < batch_size:
                continue
            projected = head(torch.from_numpy(X)[batch].to(dtype))
            teacher = torch.from_numpy(E)[batch].to(dtype)
            projected = projected / projected.norm(dim=1, keepdim=True)
            teacher = teacher / teacher.norm(dim=1, keepdim=True)
            logits = scale * projected @ teacher.T
            loss = (
                torch.nn.functional.cross_entropy(logits, targets)
                + torch.nn.functional.cross_entropy(logits.T, targets)
            ) / 2
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return head.weight.detach().numpy(), start.numpy()


RECIPE = {"epochs": 3, "batch_size": 64, "lr": 1e-3, "momentum": 0.9, "weight_decay": 1e-4, "seed": 7}


@pytest.mark.parametrize("rows", [64 * 10, 700])
def test_fit_equals_a_plain_autograd_loop_on_the_same_batches(rows):
    X, E = made_up_features(rows)
    head = LinearHead(**RECIPE).fit(X, E)
    expected, start = released_loop(X, E, **RECIPE, scale=100, dtype=torch.float32)
    difference = np.linalg.norm(head.weight_ - expected) / np.linalg.norm(expected - start)
    assert difference <= 1e-4


def test_fit_is_as_close_to_a_loop_in_float64_as_float32_allows():
    X, E = made_up_features()
    head = LinearHead(**RECIPE).fit(X, E)
    expected, start = released_loop(X, E, **RECIPE, scale=100, dtype=torch.float64)
    assert np.linalg.norm(head.weight_ - expected) / np.linalg.norm(expected - start) <= 1e-4


def test_bfloat16_products_learn_nearly_the_same_matrix():
    X, E = made_up_features()
    exact = LinearHead(**RECIPE).fit(X, E)
    coarse = LinearHead(**RECIPE, precision="bfloat16").fit(X, E)
    _, start = released_loop(X, E, **RECIPE | {"epochs": 0}, scale=100, dtype=torch.float32)
    moved = np.linalg.norm(exact.weight_ - start)
    assert 0 < np.linalg.norm(coarse.weight_ - exact.weight_) <= 0.05 * moved


def test_fitting_brings_images_nearer_to_their_own_teacher_embedding():
    X, E = made_up_features()
    head = LinearHead(**RECIPE | {"epochs": 20, "lr": 1e-2}).fit(X, E)

    def own_rank(weight):
        projected = X.astype(float) @ weight.T
        projected /= np.linalg.norm(projected, axis=1, keepdims=True)
        teacher = E.astype(float) / np.linalg.norm(E.astype(float), axis=1, keepdims=True)
        cosines = projected @ teacher.T
        return np.mean((cosines > cosines.diagonal()[:, None]).sum(axis=1))

    _, start = released_loop(X, E, **RECIPE | {"epochs": 0}, scale=100, dtype=torch.float32)
    assert own_rank(head.weight_) < own_rank(start) / 5
    assert head.losses_[-1] < head.losses_[0]


def test_the_same_seed_gives_the_same_head_and_another_seed_another():
    X, E = made_up_features()
    first, again, other = (LinearHead(**RECIPE | {"seed": seed}).fit(X, E).weight_ for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_fit_reports_every_step():
    X, E = made_up_features(rows=200)
    heard = []
    LinearHead(**RECIPE).fit(X, E, progress=lambda done, total: heard.append((done, total)))
    assert heard == [(k, 9) for k in range(1, 10)]


def test_too_few_rows_for_a_batch_are_refused():
    X, E = made_up_features(rows=63)
    with pytest.raises(UsageError, match=r"a batch of 64 needs as many rows, and there are 63"):
        LinearHead(**RECIPE).fit(X, E)


def test_rows_that_do_not_pair_are_refused():
    X, E = made_up_features()
    with pytest.raises(UsageError, match="700 rows and E has 699"):
        LinearHead(**RECIPE).fit(X, E[1:])


def test_a_diverging_loss_is_reported_instead_of_saved():
    X, E = made_up_features()
    with pytest.raises(ExpclipError, match="smaller lr"):
        LinearHead(**RECIPE | {"lr": 1e38}).fit(X, E)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**6), rows=st.integers(2, 9), width=st.integers(1, 12), scale=st.floats(0.5, 100))
def test_the_gradient_written_by_hand_is_autograds(seed, rows, width, scale):
    generator = torch.Generator().manual_seed(seed)
    projected = torch.randn(rows, width, generator=generator, dtype=torch.float64).float().requires_grad_()
    teacher = torch.nn.functional.normalize(torch.randn(rows, width, generator=generator), dim=1)
    loss, gradient = infonce(projected.detach(), teacher, scale)
    logits = scale * torch.nn.functional.normalize(projected.double(), dim=1) @ teacher.double().T
    own = torch.arange(rows)
    cross_entropy = torch.nn.functional.cross_entropy
    expected = (cross_entropy(logits, own) + cross_entropy(logits.T, own)) / 2
    expected.backward()
    assert projected.grad is not None
    torch.testing.assert_close(loss, expected.detach().float(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(gradient, projected.grad, rtol=1e-3, atol=1e-4 * scale)


def test_similarity_is_the_cosine_after_the_projection():
    rng = np.random.default_rng(0)
    images, texts, weight = (rng.standard_normal(shape) for shape in ((30, 8), (5, 8), (50, 8)))
    head = LinearHead.from_weight(weight)
    a, b = images @ head.weight_.T.astype(float), texts @ head.weight_.T.astype(float)
    expected = (a / np.linalg.norm(a, axis=1, keepdims=True)) @ (b / np.linalg.norm(b, axis=1, keepdims=True)).T
    np.testing.assert_allclose(head.similarity(images, texts), expected, rtol=1e-5)
    np.testing.assert_allclose(head.transform(images), a, rtol=1e-4, atol=1e-4)


def test_plain_clip_similarity_is_the_cosine():
    rng = np.random.default_rng(1)
    images, texts = rng.standard_normal((30, 8)), rng.standard_normal((5, 8))
    lengths = np.linalg.norm(images, axis=1)[:, None] * np.linalg.norm(texts, axis=1)
    np.testing.assert_allclose(PlainClip().similarity(images, texts), images @ texts.T / lengths, rtol=1e-5)
