"""Means of clips, against plain means in float64."""

import numpy as np
import pytest
from expclip.manifests.manifest import Clips
from expclip.scoring.samples import Samples
from hypothesis import given
from hypothesis import strategies as st

FRAMES = np.random.default_rng(0).standard_normal((40, 6)).astype(np.float16)

some_clips = st.lists(st.lists(st.integers(0, 39), min_size=1, max_size=50), max_size=30)


def plain_means(clips: list[list[int]], frames: np.ndarray = FRAMES) -> np.ndarray:
    return np.array([frames[rows].mean(axis=0, dtype=np.float64) for rows in clips]).reshape(-1, frames.shape[1])


@given(some_clips)
def test_clips_of_any_lengths_are_averaged_over_their_frames_repeats_included(clips):
    samples = Samples(FRAMES, Clips.from_lists(clips))
    assert samples.means.dtype == np.float32
    np.testing.assert_allclose(samples.means, plain_means(clips), atol=1e-6)
    exact = samples.take(np.arange(len(clips)), np.float64).means
    np.testing.assert_allclose(exact, plain_means(clips), atol=1e-14)


@given(some_clips, st.data())
def test_some_of_the_samples_are_those_of_their_numbers(clips, data):
    numbers = data.draw(st.lists(st.integers(0, len(clips) - 1), max_size=40)) if clips else []
    taken = Samples(FRAMES, Clips.from_lists(clips)).take(np.array(numbers, dtype=int))
    assert len(taken) == len(numbers)
    np.testing.assert_allclose(taken.means, plain_means([clips[k] for k in numbers]), atol=1e-6)


@given(some_clips)
def test_frames_are_transformed_once_a_block_and_then_averaged(clips):
    seen = []

    def squares(frames: np.ndarray) -> np.ndarray:
        seen.append(len(frames))
        return frames.astype(np.float32) ** 2

    behind = np.concatenate(list(Samples(FRAMES, Clips.from_lists(clips)).means_behind(squares)))
    assert max(seen, default=0) <= len(FRAMES)
    np.testing.assert_allclose(behind, plain_means(clips, FRAMES.astype(np.float64) ** 2), atol=1e-5)


def test_more_clips_than_are_gathered_at_once_keep_their_order():
    frames = np.arange(5000, dtype=np.float32)[:, None]
    clips = [list(range(k, k + 1 + k % 3 * 16)) for k in range(4000)]
    np.testing.assert_allclose(
        Samples(frames, Clips.from_lists(clips)).means[:, 0], [np.mean(c) for c in clips], rtol=1e-6
    )


@pytest.mark.parametrize("clips", [[], [[0]]])
def test_an_image_is_a_clip_of_one(clips):
    images = Samples(FRAMES[: len(clips)])
    np.testing.assert_array_equal(images.means, Samples(FRAMES, Clips.from_lists(clips)).means)
