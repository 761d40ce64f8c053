"""Rows, samples and digests."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from expclip.errors import UsageError
from expclip.manifests.frames import POLICIES
from expclip.manifests.manifest import Clips, File, Rows, Sample, clip_manifest, image_manifest, text_manifest
from hypothesis import given
from hypothesis import strategies as st

CLASSES = ("happiness", "sadness")
COUNTS = st.lists(st.integers(1, 40), min_size=1, max_size=6)
SOURCES = st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), max_size=6)


def rows(sources, size=5):
    return Rows(tuple(sources), np.full(len(sources), size, np.int64), np.zeros(len(sources), np.int32))


def clips_of(counts, policies=("released", "edge")):
    """A manifest of clips with some numbers of frames, and how often a clip's frames were asked for."""
    samples = [Sample(f"c{k}", f"c{k}", k % 2, 1, n) for k, n in enumerate(counts)]
    asked = []

    def frames_of(sample, numbers):
        asked.extend((sample.id, number) for number in numbers)
        return [File(f"{sample.source}/{number}.jpg", number + 1, number) for number in numbers]

    return clip_manifest("set", CLASSES, samples, Path("root"), frames_of, policies), asked


@given(SOURCES, SOURCES)
def test_rows_have_the_same_digest_exactly_if_they_are_the_same(some, others):
    assert (rows(some).digest == rows(others).digest) == (some == others)


@given(st.lists(st.integers(-1, 2**40), min_size=1, max_size=4), st.integers(0, 3))
def test_another_size_or_frame_number_is_another_digest(sizes, which):
    one = Rows(("a",) * len(sizes), np.array(sizes), np.zeros(len(sizes), np.int32))
    bump = np.eye(len(sizes), dtype=np.int64)[which % len(sizes)]
    assert replace(one, sizes=one.sizes + bump).digest != one.digest
    assert replace(one, frames=one.frames + bump).digest != one.digest


def test_a_digest_does_not_depend_on_how_wide_the_numbers_are_held():
    narrow = Rows(("a",), np.array([5], np.int32), np.array([0], np.int8))
    assert narrow.digest == rows(["a"]).digest


def test_names_that_are_no_utf8_have_a_digest_of_their_own():
    names = [b"\xe9.jpg".decode("utf-8", "surrogateescape"), "é.jpg"]
    assert rows(names[:1]).digest != rows(names[1:]).digest


def test_a_moved_data_set_keeps_both_digests(plant, tmp_path):
    plant("here/a.jpg", "there/a.jpg")
    here, there = (image_manifest("set", CLASSES, [Sample("a", "a.jpg", 0)], tmp_path / p) for p in ("here", "there"))
    assert here.root != there.root
    assert (here.rows.digest, here.digest) == (there.rows.digest, there.digest)


@pytest.mark.parametrize("change", [{"labels": np.array([1], np.int16)}, {"folds": np.array([2], np.int16)}])
def test_another_label_or_fold_is_another_manifest_of_the_same_rows(plant, tmp_path, change):
    plant("a.jpg")
    manifest = image_manifest("set", CLASSES, [Sample("a", "a.jpg", 0)], tmp_path)
    changed = replace(manifest, **change)
    assert changed.rows.digest == manifest.rows.digest
    assert changed.digest != manifest.digest


def test_a_file_of_another_size_is_another_row(plant, tmp_path):
    samples = [Sample("a", "a.jpg", 0)]
    plant("a.jpg", text=b"12345")
    before = image_manifest("set", CLASSES, samples, tmp_path)
    plant("a.jpg", text=b"123456")
    after = image_manifest("set", CLASSES, samples, tmp_path)
    assert (before.rows.sizes.tolist(), after.rows.sizes.tolist()) == ([5], [6])
    assert before.rows.digest != after.rows.digest


def test_an_image_that_is_listed_twice_is_one_row_and_two_samples(plant, tmp_path):
    plant("a.jpg", "b.jpg")
    samples = [Sample("a", "a.jpg", 0), Sample("b", "b.jpg", 1), Sample("a", "a.jpg", 1)]
    manifest = image_manifest("set", CLASSES, samples, tmp_path)
    assert manifest.rows.sources == ("a.jpg", "b.jpg")
    assert manifest.samples("released").indices.tolist() == [0, 1, 0]
    assert manifest.labels.tolist() == [0, 1, 1]


@given(COUNTS)
def test_the_rows_of_clips_are_the_distinct_frames_that_the_policies_use(counts):
    manifest, asked = clips_of(counts)
    expected = [
        (f"c{k}/{frame}.jpg", frame)
        for k, n in enumerate(counts)
        for frame in sorted({*POLICIES["released"](n), *POLICIES["edge"](n)})
    ]
    assert list(zip(manifest.rows.sources, manifest.rows.frames.tolist(), strict=True)) == expected
    assert len(asked) == len(expected)


@given(COUNTS)
def test_a_clip_lists_its_rows_in_the_order_of_its_policy(counts):
    manifest, _ = clips_of(counts, ("released", "edge", "all"))
    for policy, frames_of in POLICIES.items():
        clips = manifest.samples(policy)
        for k, n in enumerate(counts):
            used = clips.indices[clips.offsets[k] : clips.offsets[k + 1]]
            assert [manifest.rows.sources[row] for row in used] == [f"c{k}/{frame}.jpg" for frame in frames_of(n)]


@given(st.lists(st.lists(st.integers(0, 99)), max_size=5))
def test_clips_hold_lists_end_to_end(lists):
    clips = Clips.from_lists(lists)
    assert [part.tolist() for part in np.split(clips.indices, clips.offsets[1:-1])][: len(lists)] == lists
    assert clips.offsets[-1] == sum(map(len, lists))


def test_the_digest_does_not_depend_on_the_order_of_the_policies():
    assert clips_of([20])[0].digest == clips_of([20], ("edge", "released"))[0].digest


def test_a_frame_policy_that_the_rows_do_not_cover_says_how_to_cover_it():
    with pytest.raises(
        UsageError, match=r"rows of set cover .* released, edge, not all: extract set with frames 'all' first"
    ):
        clips_of([20])[0].samples("all")


def test_a_data_set_without_samples_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"set has no images here: choose the folder") as error:
        image_manifest("set", CLASSES, [], tmp_path)
    assert str(tmp_path) in str(error.value)


def test_texts_are_rows_and_equal_texts_are_one():
    manifest = text_manifest("P", CLASSES, [("a face", 0), ("sad", 1), ("a face", 1)])
    assert manifest.rows.sources == ("a face", "sad")
    assert manifest.samples("image").indices.tolist() == [0, 1, 0]
    assert manifest.labels.tolist() == [0, 1, 1]
    assert manifest.is_labelled
