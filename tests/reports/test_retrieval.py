"""P@k and own counterparts, against loops over rankings; chance against many random rankings."""

import numpy as np
import pytest
from expclip.reports import retrieval as module
from expclip.reports.retrieval import CHANCE, chance, mean_retrieval, retrieval, retrieval_figure


@pytest.fixture
def case():
    """31 queries, 27 candidates of 4 classes; some candidates are of several queries, some of none."""
    rng = np.random.default_rng(3)
    queries, candidates = (rng.normal(size=(n, 6)) for n in (31, 27))
    of = rng.integers(0, 20, 31)
    labels = rng.integers(0, 4, 27)
    own = of[:, None] == np.arange(27)
    return queries, candidates, labels[of][:, None] == labels, own


def by_hand(queries, candidates, same_class, own, k):
    precision, found = [], []
    for query, same, mine in zip(queries, same_class, own, strict=True):
        first = sorted(range(len(candidates)), key=lambda c: -float(query @ candidates[c]))[:k]
        precision.append(sum(same[c] for c in first) / k)
        found.append(any(mine[c] for c in first))
    return np.mean(precision), np.mean(found)


def test_rankings_equal_a_loop_in_both_directions_and_in_parts(case, monkeypatch):
    monkeypatch.setattr(module, "_AT_ONCE", 7)
    queries, candidates, same_class, own = case
    there = retrieval(queries, candidates, same_class, own)
    with_own = own.any(axis=0)
    back = retrieval(candidates[with_own], queries, same_class.T[with_own], own.T[with_own])
    assert len(there.precision) == len(back.found) == 20
    for k in (1, 2, 5, 20):
        np.testing.assert_allclose((there.precision[k - 1], there.found[k - 1]), by_hand(*case, k))
        expected = by_hand(candidates[with_own], queries, same_class.T[with_own], own.T[with_own], k)
        np.testing.assert_allclose((back.precision[k - 1], back.found[k - 1]), expected)


def test_chance_is_what_random_rankings_give(case):
    _, _, same_class, own = case
    rng = np.random.default_rng(0)
    tries = [
        retrieval(rng.normal(size=(own.shape[0], 8)), rng.normal(size=(own.shape[1], 8)), same_class, own)
        for _ in range(400)
    ]
    average = mean_retrieval(tries)
    expected = chance(same_class, own)
    np.testing.assert_allclose(average.precision, expected.precision, atol=0.02)
    np.testing.assert_allclose(average.found, expected.found, atol=0.02)


def test_few_candidates_are_ranked_to_the_last(case):
    queries, candidates, same_class, own = case
    few = retrieval(queries, candidates[:5], same_class[:, :5], own[:, :5])
    assert len(few.precision) == 5
    assert few.found[-1] == own[:, :5].any(axis=1).mean()
    np.testing.assert_allclose(few.precision[-1], same_class[:, :5].mean())
    np.testing.assert_allclose(chance(same_class[:, :5], own[:, :5]).found[-1], few.found[-1])


def test_the_figure_shows_every_value_in_percent_within_its_axes(case):
    low, high = retrieval(*case), chance(case[2], np.ones_like(case[3]))
    figure = retrieval_figure({"there": {"x": low, CHANCE: low}, "back": {"x": high, CHANCE: high}}, "title")
    shown = {(axes.get_title(loc="left"), axes.get_ylabel()): axes for axes in figure.axes}
    for axes, values in zip(shown.values(), (low.precision, high.precision, low.found, high.found), strict=True):
        np.testing.assert_allclose(axes.lines[0].get_ydata(), 100 * values)
        assert axes.get_ylim()[0] == 0
        assert axes.get_ylim()[1] >= 100 * values.max()
