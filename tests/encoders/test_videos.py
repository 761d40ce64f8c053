"""Frames of videos are those of a decoding from the beginning, however few of them are decoded."""

import builtins
import os
from collections import Counter
from itertools import islice

import av
import numpy as np
import pytest
import videos
from expclip.encoders import video_frames as reader
from expclip.encoders.images import ImageError
from expclip.encoders.pictures import read_pictures
from expclip.errors import ExpclipError, UsageError
from expclip.manifests import videos as files
from expclip.manifests.frames import POLICIES
from expclip.manifests.videos import count_frames, index_video
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

WANTED = {name: sorted(set(policy(40))) for name, policy in POLICIES.items()} | {"few": [0, 13, 14, 38], "last": [39]}


@pytest.fixture(scope="module", params=videos.KINDS)
def video(request, tmp_path_factory):
    """A video of 40 frames of each kind."""
    name, codec, options = videos.KINDS[request.param]
    return videos.make(tmp_path_factory.mktemp("videos") / name, 40, codec, options)


def pixels(found) -> dict[int, np.ndarray]:
    return {number: np.asarray(picture) for number, picture in found}


@pytest.mark.parametrize("frames", WANTED.values(), ids=WANTED)
def test_frames_are_those_of_a_decoding_from_the_beginning_in_order(video, frames):
    expected = videos.sequential(video)
    assert len(expected) == count_frames(video) == 40
    found = pixels(read_pictures(video, frames))
    assert list(found) == frames
    for number, picture in found.items():
        np.testing.assert_array_equal(picture, expected[number])


@given(st.sets(st.integers(0, 39), min_size=1))
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_frames_may_be_asked_for(video, frames):
    expected = videos.sequential(video)
    for number, picture in read_pictures(video, list(frames)):
        np.testing.assert_array_equal(np.asarray(picture), expected[number])


@pytest.fixture
def count_work(monkeypatch):
    """Counts frames decoded and times that a file was opened to decode it."""
    counts: Counter = Counter()
    decoded = reader.decoded

    def counted(container, stream):
        counts["begun"] += 1
        for frame in decoded(container, stream):
            counts["frames"] += 1
            yield frame

    monkeypatch.setattr(reader, "decoded", counted)
    return counts


def test_what_lies_between_keyframes_is_skipped(tmp_path, count_work):
    video = videos.make(tmp_path / "a.mp4", 400, options={"g": "10"})
    frames = [5, 205, 395]
    found = pixels(read_pictures(video, frames))
    assert list(found) == frames
    assert count_work["frames"] < 60


def test_frames_of_one_group_are_decoded_once(tmp_path, count_work):
    video = videos.make(tmp_path / "a.mp4", 100, options={"g": "250", "bf": "0", "sc_threshold": "0"})
    list(read_pictures(video, list(range(0, 100, 7))))
    assert count_work == {"begun": 1, "frames": 99}


def test_frames_that_seeking_misses_are_looked_for_from_the_beginning(tmp_path, monkeypatch):
    video = videos.make(tmp_path / "a.mp4", 40, options={"g": "10"})
    index = index_video(video)
    late = files.VideoIndex(index.count, index.times, tuple((shown, index.times[-1]) for shown, _ in index.keyframes))
    monkeypatch.setattr(reader, "index_video", lambda path: late)
    expected = videos.sequential(video)
    found = pixels(read_pictures(video, [3, 15, 25, 39]))
    assert sorted(found) == [3, 15, 25, 39]
    for number, picture in found.items():
        np.testing.assert_array_equal(picture, expected[number])


def test_a_video_that_is_shorter_than_asked_for_fails_only_beyond_its_end(tmp_path):
    video = videos.make(tmp_path / "a.mp4", 10)
    found = dict(read_pictures(video, [8, 9, 10, 30]))
    assert {number: str(one) for number, one in found.items() if isinstance(one, ImageError)} == dict.fromkeys(
        (10, 30), "the video has only 10 frames"
    )


def test_a_video_that_is_cut_off_fails_from_the_cut_on(tmp_path):
    video = videos.make(tmp_path / "a.mkv", 40, options={"g": "10"})
    expected = videos.sequential(video)
    whole = video.read_bytes()
    video.write_bytes(whole[: len(whole) // 2])
    found = dict(read_pictures(video, list(range(40))))
    good = [number for number, one in found.items() if not isinstance(one, ImageError)]
    assert good == list(range(len(good)))
    assert 5 < len(good) < 35
    for number in good[:-1]:
        np.testing.assert_array_equal(np.asarray(found[number]), expected[number])
    assert all("frames" in str(found[number]) or "damaged" in str(found[number]) for number in range(len(good), 40))


@pytest.mark.parametrize(
    "kind", [one for one in videos.KINDS if one not in ("only keyframes", "vp8", "h264, one keyframe")]
)
@pytest.mark.parametrize("packets", [3, 7])
def test_of_a_video_that_begins_between_keyframes_only_frames_that_can_be_decoded_count(tmp_path, kind, packets):
    name, codec, options = videos.KINDS[kind]
    whole = videos.make(tmp_path / name, 40, codec, options)
    try:
        cut = videos.without_first(whole, tmp_path / f"cut{whole.suffix}", packets)
    except (av.FFmpegError, ValueError):
        pytest.skip("this container takes no such video")
    count = count_frames(cut)
    assert 40 - 2 * 12 <= count <= 40 - packets
    found = dict(read_pictures(cut, list(range(count + 1))))
    assert str(found.pop(count)) == f"the video has only {count} frames"
    expected = videos.sequential(whole)[40 - count :]
    for number, picture in found.items():
        np.testing.assert_array_equal(np.asarray(picture), expected[number])


def test_a_video_that_begins_with_its_keyframe_is_not_taken_for_a_cut_one(video):
    assert not index_video(video).is_cut


def test_a_git_lfs_pointer_and_a_web_page_are_named(tmp_path):
    for name, content, message in (
        ("a.mp4", "version https://git-lfs.github.com/spec/v1\n", "this is a git-lfs pointer"),
        ("b.mp4", "<html></html>", "this is a web page"),
    ):
        (tmp_path / name).write_text(content)
        assert message in str(dict(read_pictures(tmp_path / name, [0]))[0])


def test_damage_in_the_middle_leaves_the_other_frames_their_numbers(tmp_path):
    video = videos.make(tmp_path / "a.mkv", 40, "mjpeg")
    expected = videos.sequential(video)
    with av.open(str(video)) as container:
        frame = next(islice(container.demux(video=0), 20, None))
        begin, size = frame.pos + 8, frame.size - 8
    content = bytearray(video.read_bytes())
    content[begin : begin + size] = bytes(size)
    video.write_bytes(bytes(content))
    found = dict(read_pictures(video, list(range(40))))
    assert str(found[20]) == "the frame is damaged"
    for number in set(range(40)) - {20}:
        np.testing.assert_array_equal(np.asarray(found[number]), expected[number])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "this is not a readable video (Invalid "),
        (b"hello" * 100, "this is not a readable video (Invalid "),
        (b"#EXTM3U\n#EXTINF:1,\nother.mp4\n#EXT-X-ENDLIST\n", "this is not a readable video (Invalid "),
        (b"ffconcat version 1.0\nfile other.mp4\n", "this is not a readable video (Invalid "),
    ],
    ids=["empty", "text", "playlist", "concatenation"],
)
def test_what_is_no_video_fails_and_leads_to_no_other_file(tmp_path, content, message):
    videos.make(tmp_path / "other.mp4", 5)
    (tmp_path / "a.mp4").write_bytes(content)
    found = dict(read_pictures(tmp_path / "a.mp4", [0, 3]))
    assert sorted(found) == [0, 3]
    assert all(str(one).startswith(message) for one in found.values())
    assert count_frames(tmp_path / "a.mp4") == 0


def test_missing_files_folders_and_pipes_fail_without_waiting(tmp_path):
    (tmp_path / "folder.mp4").mkdir()
    os.mkfifo(tmp_path / "pipe.mp4")
    reasons = {
        name: str(dict(read_pictures(tmp_path / name, [0]))[0]) for name in ("gone.mp4", "folder.mp4", "pipe.mp4")
    }
    assert reasons == {
        "gone.mp4": "the file is missing",
        "folder.mp4": "this is not an ordinary file",
        "pipe.mp4": "this is not an ordinary file",
    }


def test_sound_without_pictures_is_no_video(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert str(dict(read_pictures(tmp_path / "a.mp4", [0]))[0]) == "the file holds no pictures"


def test_trouble_of_the_machine_is_no_fault_of_the_video(tmp_path, monkeypatch):
    video = videos.make(tmp_path / "a.mp4", 3)

    def refuse(path):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(reader, "index_video", refuse)
    with pytest.raises(ExpclipError, match=r"a.mp4: Too many open files: resolve this and run the command again"):
        list(read_pictures(video, [0]))


def test_without_pyav_one_line_says_what_to_install(tmp_path, monkeypatch):
    video = videos.make(tmp_path / "a.mp4", 3)
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "av":
            raise ImportError("No module named 'av'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match=r"videos need PyAV: run pip install 'expclip\[video\]'"):
        list(read_pictures(video, [0]))
