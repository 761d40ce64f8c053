"""Metrics by hand, and against scikit-learn on random labels."""

import numpy as np
import pytest
from expclip.scoring.metrics import confusion_matrix, recalls, uar, war
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics


def test_a_worked_example():
    # class 0: 2 of 3 right; class 1: 1 of 1; class 2: 0 of 2
    confusion = confusion_matrix(np.array([0, 0, 0, 1, 2, 2]), np.array([0, 0, 1, 1, 0, 1]), 3)
    np.testing.assert_array_equal(confusion, [[2, 1, 0], [0, 1, 0], [1, 1, 0]])
    np.testing.assert_allclose(recalls(confusion), [2 / 3, 1, 0])
    assert uar(confusion) == pytest.approx(100 * (2 / 3 + 1 + 0) / 3)
    assert war(confusion) == pytest.approx(50)


def test_a_class_that_is_predicted_but_never_true_does_not_spoil_the_mean():
    confusion = confusion_matrix(np.array([0, 0, 1]), np.array([2, 0, 1]), 3)
    assert np.isnan(recalls(confusion)[2])
    assert uar(confusion) == pytest.approx(75)


def test_a_single_class():
    confusion = confusion_matrix(np.array([0, 0]), np.array([0, 0]), 1)
    assert uar(confusion) == war(confusion) == 100


def test_no_samples_give_no_number():
    confusion = confusion_matrix(np.array([], dtype=int), np.array([], dtype=int), 7)
    assert np.isnan(uar(confusion))
    assert np.isnan(war(confusion))


@given(pairs=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=60))
def test_scikit_learn_agrees(pairs):
    truth, predicted = (np.array(values) for values in zip(*pairs, strict=True))
    confusion = confusion_matrix(truth, predicted, 7)
    assert all(confusion[t, p] == pairs.count((t, p)) for t in range(7) for p in range(7))
    assert war(confusion) == pytest.approx(100 * metrics.accuracy_score(truth, predicted))
    present = sorted(set(truth.tolist()))
    macro = metrics.recall_score(truth, predicted, labels=present, average="macro", zero_division=0)
    assert uar(confusion) == pytest.approx(100 * macro)
