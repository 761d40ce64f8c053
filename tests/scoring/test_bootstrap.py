"""Intervals of scores and of paired differences against scikit-learn's recalls and the normal approximation."""

import itertools

import numpy as np
import pytest
from expclip.scoring.bootstrap import paired_difference, score_interval
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, recall_score


@pytest.fixture
def predictions() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, a poor and a better prediction of 4,000 samples of four classes of unlike sizes."""
    rng = np.random.default_rng(0)
    truth = rng.choice(4, 4000, p=(0.5, 0.3, 0.15, 0.05))
    poor = np.where(rng.random(4000) < 0.5, truth, rng.integers(4, size=4000))
    better = np.where(rng.random(4000) < 0.3, truth, poor)
    return truth, poor, better


def test_the_value_is_the_difference_of_the_scores(predictions):
    truth, poor, better = predictions
    found = paired_difference(truth, poor, better)
    recall = [recall_score(truth, one, average="macro") for one in (poor, better)]
    accuracy = [accuracy_score(truth, one) for one in (poor, better)]
    assert found.uar.value == pytest.approx(100 * (recall[1] - recall[0]))
    assert found.war.value == pytest.approx(100 * (accuracy[1] - accuracy[0]))


def test_the_interval_is_that_of_the_normal_approximation(predictions):
    truth, poor, better = predictions
    found = paired_difference(truth, poor, better, draws=20_000)
    gain = (better == truth).astype(float) - (poor == truth)
    variances = [gain[truth == label].var() / (truth == label).sum() for label in range(4)]
    half = 1.96 * 100 * np.sqrt(np.sum(variances)) / 4
    assert found.uar.low == pytest.approx(found.uar.value - half, abs=0.05 * half)
    assert found.uar.high == pytest.approx(found.uar.value + half, abs=0.05 * half)


def test_the_interval_of_a_score_is_that_of_the_normal_approximation(predictions):
    truth, poor, _ = predictions
    found = score_interval(truth, poor, draws=20_000)
    recall = np.array([(poor[truth == label] == label).mean() for label in range(4)])
    support = np.bincount(truth)
    variance = recall * (1 - recall) / support
    half = 1.96 * 100 * np.sqrt(variance.sum()) / 4
    assert found.uar.value == pytest.approx(100 * recall.mean())
    assert [found.uar.low, found.uar.high] == pytest.approx(
        [100 * recall.mean() + side * half for side in (-1, 1)], abs=0.1 * half
    )
    accuracy, half = (poor == truth).mean(), 1.96 * 100 * np.sqrt(np.sum(support**2 * variance)) / 4000
    assert found.war.value == pytest.approx(100 * accuracy)
    assert [found.war.low, found.war.high] == pytest.approx(
        [100 * accuracy + side * half for side in (-1, 1)], abs=0.1 * half
    )


def test_the_mean_over_folds_is_resampled_within_classes_of_folds(predictions):
    """Against a bootstrap that draws the samples themselves."""
    truth, poor, better = (values[:1500] for values in predictions)
    folds = np.repeat([1, 2, 3], (150, 450, 900))
    rng = np.random.default_rng(7)

    def means(chosen: np.ndarray) -> np.ndarray:
        gain = (better[chosen] == truth[chosen]).astype(float) - (poor[chosen] == truth[chosen])
        cells = [[gain[(folds == f) & (truth == label)] for label in range(4)] for f in (1, 2, 3)]
        uar = np.mean([np.mean([cell.mean() for cell in fold]) for fold in cells])
        return 100 * np.array([uar, np.mean([np.concatenate(fold).mean() for fold in cells])])

    def resample() -> np.ndarray:
        chosen = np.arange(1500)
        for f, label in itertools.product((1, 2, 3), range(4)):
            here = np.flatnonzero((folds == f) & (truth == label))
            chosen[here] = rng.choice(here, len(here))
        return chosen

    seen, drawn = means(np.arange(1500)), np.array([means(resample()) for _ in range(1500)])
    found = paired_difference(truth, poor, better, folds, draws=20_000)
    for k, one in enumerate((found.uar, found.war)):
        low, high = np.percentile(drawn[:, k], (2.5, 97.5))
        assert one.value == pytest.approx(seen[k])
        assert [one.low, one.high] == pytest.approx([low, high], abs=0.08 * (high - low))


def test_the_same_question_has_the_same_answer(predictions):
    truth, poor, better = predictions
    assert paired_difference(truth, poor, better) == paired_difference(truth, poor, better)
    assert score_interval(truth, poor) == score_interval(truth, poor)


def test_pairing_narrows_the_interval(predictions):
    """The same two scores on samples that are not the same have a wider interval."""
    truth, poor, better = predictions
    rng = np.random.default_rng(1)
    apart = better.copy()
    for label in range(4):
        here = np.flatnonzero(truth == label)
        apart[here] = better[rng.permutation(here)]
    paired, unpaired = (paired_difference(truth, poor, one).uar for one in (better, apart))
    assert unpaired.value == pytest.approx(paired.value)
    assert unpaired.high - unpaired.low > 1.2 * (paired.high - paired.low)


@given(st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=1, max_size=30))
def test_the_interval_holds_the_value_and_turns_with_the_order(rows):
    truth, first, second = np.array(rows).T
    there, back = paired_difference(truth, first, second), paired_difference(truth, second, first)
    for name in ("uar", "war"):
        one, other = getattr(there, name), getattr(back, name)
        assert one.value == pytest.approx(-other.value)
        assert -100 <= one.low <= one.high <= 100
    same = paired_difference(truth, first, first)
    assert (same.uar.value, same.uar.low, same.uar.high) == (0, 0, 0)


def test_without_samples_there_is_nothing_to_compare():
    nothing = np.empty(0, dtype=int)
    with pytest.raises(ValueError, match="no sample"):
        paired_difference(nothing, nothing, nothing)
