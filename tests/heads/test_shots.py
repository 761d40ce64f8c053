"""Drawing labelled samples: what is learnt from, what is held out, and what is refused."""

import numpy as np
import pytest
from expclip import UsageError
from expclip.heads.shots import Draw, drawn, first_of_each, refuse_too_few

LABELS = np.repeat([0, 1, 2], [10, 30, 60])
CLASSES = ("happiness", "sadness", "fear")


def counts(places: np.ndarray) -> list[int]:
    return np.bincount(LABELS[places], minlength=3).tolist()


def test_without_shots_a_share_of_each_class_is_held_out_and_the_rest_learnt_from():
    learnt, held_out = drawn(LABELS, Draw(None, 0.2, (1, 0)))
    assert (counts(learnt), counts(held_out)) == ([8, 24, 48], [2, 6, 12])
    assert sorted([*learnt, *held_out]) == list(range(100))


@pytest.mark.parametrize(("shots", "held_out"), [(1, 1), (2, 2), (4, 4), (6, 4)])
def test_with_shots_each_class_has_as_many_and_up_to_four_more_are_held_out(shots, held_out):
    learnt, others = drawn(LABELS, Draw(shots, 0.2, (1, 0)))
    assert (counts(learnt), counts(others)) == ([shots] * 3, [held_out] * 3)
    assert not set(learnt) & set(others)


def test_the_seed_and_nothing_else_decides():
    first, again, other = (drawn(LABELS, Draw(4, 0.2, seed))[0].tolist() for seed in [(1, 0), (1, 0), (2, 0)])
    assert first == again != other


def test_where_nothing_is_validated_nothing_is_held_out():
    learnt, held_out = drawn(LABELS, Draw(None, None, (1, 0)))
    assert (len(learnt), len(held_out)) == (100, 0)


def test_what_is_listed_twice_counts_once():
    assert first_of_each(["a", "b", "a", "c", "b"], np.array([1, 2, 3, 4])).tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("labels", "shots", "said"),
    [
        (LABELS, 7, "faces has 10 of happiness, and 7 to learn from and 4 to validate by are needed: choose fewer"),
        (LABELS[10:], None, "faces has no sample of happiness, .* leave it out with classes sadness,fear"),
        (LABELS[9:], None, "faces has 1 of happiness, and 1 to learn from and 1 to validate by are needed: give"),
    ],
)
def test_a_class_with_too_few_samples_is_refused(labels, shots, said):
    with pytest.raises(UsageError, match=said):
        refuse_too_few("faces", labels, CLASSES, Draw(shots, 0.2, (1, 0)))
