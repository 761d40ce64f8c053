"""Ridge heads against scikit-learn, numpy's least squares, and the condition for a minimum."""

from functools import reduce
from operator import add

import numpy as np
import pytest
from expclip import UsageError
from expclip.heads.recipe import Recipe
from expclip.heads.ridge import Sums, fit_ridge
from made_up import made_up_features
from sklearn.linear_model import Ridge


def double(rows: int = 700):
    X, E = made_up_features(rows)
    return X.astype(np.float64), E.astype(np.float64)


@pytest.mark.parametrize("share", [1e-4, 1e-2, 1.0, 30.0])
def test_the_weights_are_scikit_learns(share):
    X, E = double()
    alpha = share * np.trace(X.T @ X) / 24  # scikit-learn's penalty is on the sum over rows, ours on the mean
    expected = Ridge(alpha=alpha, fit_intercept=False).fit(X, E).coef_
    found = Sums.of(X, E).solve(share)
    assert np.linalg.norm(found - expected) / np.linalg.norm(expected) <= 1e-6
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


def test_lambda_0_is_least_squares():
    X, E = double()
    expected = np.linalg.lstsq(X, E)[0].T
    np.testing.assert_allclose(Sums.of(X, E).solve(0), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("rows", [10, 700])
def test_where_embeddings_span_too_little_lambda_0_is_the_solution_of_smallest_norm(rows):
    X, E = double(rows)
    X[:, 20:] = X[:, :4] @ np.arange(16.0).reshape(4, 4)
    expected = np.linalg.lstsq(X, E)[0].T
    np.testing.assert_allclose(Sums.of(X, E).solve(0), expected, rtol=1e-5, atol=1e-7)


def test_the_penalty_means_the_same_for_longer_embeddings():
    X, E = double()
    np.testing.assert_allclose(Sums.of(50 * X, E).solve(0.1) * 50, Sums.of(X, E).solve(0.1), rtol=1e-9)


def test_sums_of_parts_are_the_sums_of_all():
    X, E = double()
    parts = reduce(add, (Sums.of(X[k : k + 99], E[k : k + 99]) for k in range(0, 700, 99)))
    whole = Sums.of(X, E)
    assert parts.rows == 700
    np.testing.assert_allclose(parts.xx, whole.xx, rtol=1e-12)
    np.testing.assert_allclose(parts.xe, whole.xe, rtol=1e-12, atol=1e-9)


def test_a_ridge_head_is_fitted_block_by_block_from_features_as_they_are_stored(monkeypatch):
    X, E = made_up_features()
    monkeypatch.setattr("expclip.heads.ridge._ROWS", 200)
    heard = []
    head = fit_ridge(X, E, Recipe(ridge_lambda=0.01), lambda done, total: heard.append((done, total)))
    assert heard == [(1, 4), (2, 4), (3, 4), (4, 4)]
    x, e = double()
    alpha = 0.01 * np.trace(x.T @ x) / 24
    expected = Ridge(alpha=alpha, fit_intercept=False).fit(x, e).coef_
    np.testing.assert_allclose(head.weight_, expected.astype(np.float32), rtol=1e-5, atol=1e-7)
    assert head.losses_ == pytest.approx([np.square(x @ expected.T - e).sum() / 700], rel=1e-6)


def test_pairs_that_are_none_are_refused():
    X, E = made_up_features()
    for some in ((X, E[1:]), (X[:0], E[:0])):
        with pytest.raises(UsageError, match="they must be the same images"):
            fit_ridge(*some, Recipe())
