"""What heads are fitted to: pairs of finite numbers, or one line that says what is wrong."""

from contextlib import suppress
from itertools import combinations

import numpy as np
import pytest
import torch
from expclip import LinearHead, UsageError
from expclip.heads.kinds import KINDS, TeacherPairs
from expclip.heads.recipe import Recipe
from made_up import made_up_features

X, E = made_up_features(width=64)
HOLE = X.copy()
HOLE[7, 3] = np.nan
RECIPE = Recipe(epochs=1, batch_size=16)

WRONG = {
    "NaN in X": (HOLE, E, r"X has NaN, .*the first in row 7"),
    "infinity in E": (X, np.where(np.isnan(HOLE[:, :1]), 1.0, np.inf) * E, "E has NaN, infinite"),
    "too large for float32": (X.astype(np.float64) * 1e300, E, "numbers"),
    "other rows": (X, E[1:], "X has .* rows and E has"),
    "no rows": (X[:0], E[:0], "they must be the same images, one or more"),
    "no columns": (X[:, :0], E, r"X has the shape \(\d+, 0\)"),
    "a vector": (X[0], E, r"X has the shape \(64,\)"),
    "three axes": (X, E[None], "E has the shape"),
    "a number": (3.0, E, r"X has the shape \(\)"),
    "text": (np.full(X.shape, "a"), E, "X holds <U1 values"),
    "objects": (X.astype(object), E, "X holds object values"),
    "complex": (X, E.astype(complex), "E holds complex128"),
    "ragged": ([[1.0], [1.0, 2.0]], E, "X is not an array of numbers"),
    "truth": (X > 0, E, "X holds bool"),
    "a tensor with a gradient": (torch.ones(4, 4, requires_grad=True), E, "X is not an array of numbers"),
}

TAUGHT = [name for name, kind in KINDS.items() if kind.learns_from == "teacher"]


@pytest.mark.parametrize("kind", TAUGHT)
@pytest.mark.parametrize("what", WRONG)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_no_head_can_learn_from_is_one_line(kind, what):
    x, e, said = WRONG[what]
    with pytest.raises((UsageError,) if what != "too large for float32" else Exception, match=said):
        KINDS[kind].trainer.fit(TeacherPairs(x, e), RECIPE, None)


@pytest.mark.parametrize(
    "make", [np.asfortranarray, lambda a: a[::-1], lambda a: a.astype(">f4"), lambda a: a.tolist()]
)
def test_arrays_of_any_layout_are_the_same_numbers(make):
    expected = LinearHead(epochs=1, batch_size=16).fit(np.ascontiguousarray(make(X), "f4"), E).weight_
    np.testing.assert_allclose(LinearHead(epochs=1, batch_size=16).fit(make(X), E).weight_, expected, rtol=1e-6)


def test_images_that_are_all_alike_are_learnt_from():
    for kind in TAUGHT:
        head = KINDS[kind].trainer.fit(TeacherPairs(np.ones_like(X), E), RECIPE, None)
        assert all(np.isfinite(value).all() for value in head.tensors().values())


@pytest.mark.parametrize("seed", [-1, 2**32, 2**64, 10**6000], ids=["negative", "2**32", "2**64", "huge"])
def test_a_seed_that_no_generator_takes_is_one_line(seed):
    with pytest.raises(UsageError, match=r"seed .*: give one from 0 to 4294967295"):
        LinearHead(seed=seed).fit(X, E)


def test_no_two_seeds_give_the_same_head():
    """torch's generator keeps 32 bits of a seed: 0 and 2**32 were two heads of the same weights."""
    heads: list[np.ndarray] = []
    for seed in (0, 1, 2**31, 2**32 - 1, 2**32, 2**32 + 1, 2**63, 2**64 - 1):
        with suppress(UsageError):
            heads.append(LinearHead(seed=seed, epochs=1, batch_size=16).fit(X, E).weight_)
    assert len(heads) >= 4
    assert not any(np.array_equal(one, other) for one, other in combinations(heads, 2))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"objective": "mean"}, "objective 'mean': choose infonce or mse"),
        ({"precision": "float8"}, "precision 'float8'"),
        ({"batch_size": 0}, "batch_size 0: give 1 or more"),
        ({"epochs": -1}, "epochs -1: give 0 or more"),
    ],
)
def test_options_of_python_are_checked_as_those_of_the_command_line(options, said):
    with pytest.raises(UsageError, match=said):
        LinearHead(**options).fit(X, E)
