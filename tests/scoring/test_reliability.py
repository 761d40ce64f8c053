"""How far probabilities can be relied on."""

import numpy as np
import pytest
from expclip.scoring.reliability import BINS, reliability


def test_the_calibration_error_is_the_mean_gap_between_confidence_and_accuracy():
    rng = np.random.default_rng(0)
    confidence = np.concatenate([rng.random(500), [0.0, 1.0]])
    right = rng.random(502) < confidence**2
    gap = 0.0
    for k in range(BINS):
        here = [
            n
            for n in range(502)
            if k / BINS <= confidence[n] < (k + 1) / BINS or (k == BINS - 1 == confidence[n] * 9)
        ]
        gap += abs(sum(confidence[n] - right[n] for n in here)) / 502
    found = reliability(confidence, right)
    assert found.error == pytest.approx(100 * gap)
    assert found.counts.sum() == 502


def test_what_is_as_often_right_as_it_says_has_no_error():
    found = reliability(np.array([0.25] * 4 + [0.75] * 4), np.array([1, 0, 0, 0, 1, 1, 1, 0], dtype=bool))
    assert found.error == 0
    assert found.confidence.tolist() == found.accuracy.tolist() == [0.25, 0.75]


def test_of_no_sample_nothing_follows():
    with pytest.raises(ValueError, match="no sample"):
        reliability(np.zeros(0), np.zeros(0, dtype=bool))
