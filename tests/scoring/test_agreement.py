"""Of which kind a sample is, by what the first method and the others predict for it."""

import numpy as np
from expclip.scoring.agreement import ALIKE, BROKEN, OTHERWISE, REPAIRED, agreement


def test_a_sample_is_repaired_or_broken_by_any_other_method_that_is_right_or_wrong():
    truth = np.zeros(6, dtype=int)
    predicted = np.array([[1, 0, 1, 0, 1, 1], [0, 1, 2, 0, 1, 1], [1, 0, 1, 0, 1, 0]])
    assert agreement(truth, predicted).tolist() == [REPAIRED, BROKEN, OTHERWISE, ALIKE, ALIKE, REPAIRED]


def test_a_method_alone_agrees_with_itself():
    assert agreement(np.array([0, 1]), np.array([[0, 0]])).tolist() == [ALIKE, ALIKE]
