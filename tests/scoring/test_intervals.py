"""Intervals of scores and gains: against scikit-learn's recalls, a bootstrap, and how often they hold the truth."""

import itertools

import numpy as np
import pytest
from expclip.scoring.intervals import Intervals, Strata, gain_bounds, score_bounds
from expclip.scoring.intervals import paired_difference as difference_of
from expclip.scoring.intervals import score_interval as interval_of
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, recall_score


def score_interval(truth: np.ndarray, predicted: np.ndarray) -> Intervals:
    return interval_of(Strata.of(truth), predicted == truth)


def paired_difference(
    truth: np.ndarray, first: np.ndarray, second: np.ndarray, folds: np.ndarray | None = None
) -> Intervals:
    return difference_of(Strata.of(truth, folds), first == truth, second == truth)


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
    found = paired_difference(truth, poor, better)
    gain = (better == truth).astype(float) - (poor == truth)
    variances = [gain[truth == label].var() / (truth == label).sum() for label in range(4)]
    half = 1.96 * 100 * np.sqrt(np.sum(variances)) / 4
    assert found.uar.low == pytest.approx(found.uar.value - half, abs=0.05 * half)
    assert found.uar.high == pytest.approx(found.uar.value + half, abs=0.05 * half)


def test_the_interval_of_a_score_is_that_of_the_normal_approximation(predictions):
    truth, poor, _ = predictions
    found = score_interval(truth, poor)
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


def test_the_mean_over_folds_is_as_certain_as_resampling_within_classes_of_folds_says(predictions):
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
    found = paired_difference(truth, poor, better, folds)
    for k, one in enumerate((found.uar, found.war)):
        low, high = np.percentile(drawn[:, k], (2.5, 97.5))
        assert one.value == pytest.approx(seen[k])
        assert [one.low, one.high] == pytest.approx([low, high], abs=0.08 * (high - low))


SUPPORTS = {
    "AFEW, unbalanced": (64, 63, 63, 61, 46, 46, 38),
    "AFEW's number, balanced": (55,) * 7,
    "RAF-DB, unbalanced": (1185, 680, 478, 329, 162, 160, 74),
    "RAF-DB's number, balanced": (438,) * 7,
    "MAFW, unbalanced": (1500, 1400, 1300, 1200, 1000, 800, 700, 500, 400, 250, 122),
    "MAFW's number, balanced": (834,) * 11,
}
"""How many samples a class has: 381, 3,068 and 9,172 in all."""
RECALLS = {"in between": (0.2, 0.8), "near 0": (0.03, 0.05), "near 1": (0.95, 0.97)}
GAINS = {"large": (0.3, 0.05), "none": (0.1, 0.1), "small": (0.05, 0.02), "almost all": (0.95, 0.01)}
"""Shares of samples that are won and lost."""
TRIALS = 40_000


def weights_of(sizes: np.ndarray) -> list[np.ndarray]:
    """Of UAR and of WAR."""
    return [np.full(len(sizes), 1 / len(sizes)), sizes / sizes.sum()]


def share_held(bounds: tuple[np.ndarray, np.ndarray], truth: float) -> float:
    low, high = bounds
    return 100 * float(((low <= truth) & (truth <= high)).mean())


@pytest.mark.parametrize("supports", SUPPORTS)
@pytest.mark.parametrize("recalls", RECALLS)
def test_95_of_100_intervals_of_scores_hold_the_true_score(supports, recalls):
    sizes = np.array(SUPPORTS[supports])
    true = np.linspace(*RECALLS[recalls], len(sizes))
    right = np.random.default_rng(0).binomial(sizes, true, (TRIALS, len(sizes)))
    for weights in weights_of(sizes):
        assert share_held(score_bounds(right, sizes, weights), weights @ true) == pytest.approx(95, abs=0.7)


@pytest.mark.parametrize("supports", SUPPORTS)
@pytest.mark.parametrize("gain", GAINS)
def test_95_of_100_intervals_of_gains_hold_the_true_gain(supports, gain):
    sizes, (won, lost) = np.array(SUPPORTS[supports]), GAINS[gain]
    rng = np.random.default_rng(0)
    counts = np.stack([rng.multinomial(n, [won, lost, 1 - won - lost], TRIALS) for n in sizes], axis=1)
    for weights in weights_of(sizes):
        bounds = gain_bounds(counts[..., 0], counts[..., 1], sizes, weights)
        assert share_held(bounds, won - lost) == pytest.approx(95, abs=0.7)


def test_a_score_of_which_all_or_none_is_right_has_an_interval(predictions):
    truth, _, _ = predictions
    all_right, none_right = score_interval(truth, truth).war, score_interval(truth, truth + 1).war
    assert (all_right.value, all_right.high) == pytest.approx((100, 100))
    assert all_right.low == pytest.approx(100 / (1 + 1.96**2 / 4000), abs=1e-3)  # Wilson's, by hand
    assert none_right.high == pytest.approx(100 - all_right.low)


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
        assert one.low - 1e-9 <= one.value <= one.high + 1e-9
    same = paired_difference(truth, first, first).uar
    assert same.value == 0
    assert same.low == pytest.approx(-same.high)


def test_without_samples_there_is_nothing_to_compare():
    nothing = np.empty(0, dtype=int)
    with pytest.raises(ValueError, match="no sample"):
        paired_difference(nothing, nothing, nothing)
