"""Frame policies against METHOD's formula, written once more in exact arithmetic."""

from fractions import Fraction
from math import floor

import numpy as np
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
def test_frames_are_in_range_and_in_order_but_where_a_short_clip_is_gone_through_again(n):
    for name, policy in POLICIES.items():
        frames = policy(n)
        assert frames == sorted(frames) or (name == "every-4th-32" and n <= 124)
        assert min(frames) >= 0
        assert max(frames) < n


@given(st.integers(1, 3000))
def test_sampling_gives_16_frames_and_all_gives_each_once(n):
    assert [len(POLICIES[name](n)) for name in DEFAULT_POLICIES] == [16, 16]
    assert every(n) == list(range(n))


@pytest.mark.parametrize(("n", "first", "last"), [(17, 0, 16), (32, 1, 31), (100, 3, 96)])
def test_worked_examples(n, first, last):
    assert (released(n)[0], released(n)[-1]) == (first, last)


@given(st.integers(1, 10**6))
def test_linspace_8_is_numpys_linspace_cut_to_integers(n):
    assert POLICIES["linspace-8"](n) == [floor(Fraction(k * (n - 1), 7)) for k in range(8)]


@pytest.mark.parametrize(
    ("n", "frames"),
    [
        (1, [0] * 8),
        (2, [0] * 7 + [1]),
        (5, [0, 0, 1, 1, 2, 2, 3, 4]),
        (8, list(range(8))),
        (9, [0, 1, 2, 3, 4, 5, 6, 8]),
        (100, [0, 14, 28, 42, 56, 70, 84, 99]),
    ],
)
def test_linspace_8_by_hand(n, frames):
    assert POLICIES["linspace-8"](n) == frames


@pytest.mark.parametrize(
    ("n", "frames"),
    [
        (1, [0] * 32),
        (4, [0] * 32),
        (5, [0, 4] * 16),
        (9, [0, 4, 8, 0, 4, 8, *(4, 0, 8, 4, 0), *(4, 8, 0, 4, 8), *(4, 0, 8, 4, 0)]),
        (64, [4 * (k % 16) for k in range(32)]),
        (124, [*range(0, 124, 4), 0]),
        (125, list(range(0, 125, 4))),
        (500, list(range(0, 128, 4))),
    ],
)
def test_every_4th_32_by_hand(n, frames):
    found = POLICIES["every-4th-32"](n)
    assert len(found) == 32
    assert found[: len(frames)] == frames


@given(st.integers(1, 300))
def test_every_4th_32_is_joined_and_then_padded_as_numpy_reflects(n):
    picked = np.arange(0, n, 4)
    joined = picked[:32] if len(picked) > 32 else np.concatenate([picked, picked[: 32 - len(picked)]])
    expected = np.pad(joined, (0, 32 - len(joined)), "reflect")
    assert POLICIES["every-4th-32"](n) == expected.tolist()
