"""Frame policies against METHOD's formula, written once more in exact arithmetic."""

from fractions import Fraction
from math import floor

import pytest
from expclip.manifests.frames import DEFAULT_POLICIES, POLICIES, edge, every, released
from hypothesis import given
from hypothesis import strategies as st

LONG = st.integers(17, 10**6)
SHORT = st.integers(1, 16)


@given(LONG)
def test_a_long_clip_gives_frame_floor_of_half_a_tick_plus_k_ticks(n):
    tick = Fraction(n, 16)
    expected = [floor(tick / 2 + tick * k) for k in range(16)]
    assert released(n) == expected
    assert edge(n) == expected


@given(SHORT)
def test_released_takes_frame_0_sixteen_times_of_16_frames_and_fewer(n):
    assert released(n) == [0] * 16


@given(SHORT)
def test_edge_takes_every_frame_and_repeats_the_last(n):
    assert edge(n) == [min(k, n - 1) for k in range(16)]


@given(st.integers(1, 3000))
def test_frames_are_in_range_and_in_order(n):
    for policy in POLICIES.values():
        frames = policy(n)
        assert frames == sorted(frames)
        assert frames[0] >= 0
        assert frames[-1] < n


@given(st.integers(1, 3000))
def test_sampling_gives_16_frames_and_all_gives_each_once(n):
    assert [len(POLICIES[name](n)) for name in DEFAULT_POLICIES] == [16, 16]
    assert every(n) == list(range(n))


@pytest.mark.parametrize(("n", "first", "last"), [(17, 0, 16), (32, 1, 31), (100, 3, 96)])
def test_worked_examples(n, first, last):
    assert (released(n)[0], released(n)[-1]) == (first, last)
