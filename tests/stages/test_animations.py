"""Animated pictures and videos from the disk to the features."""

import numpy as np
import pytest
import videos
from expclip.manifests import videos as files
from PIL import Image

MINI = {"clip": "miniature"}


@pytest.fixture
def gifs(tmp_path):
    """A folder with an animated GIF of 20 frames of noise, and a still one."""
    folder = tmp_path / "gifs"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (20, 32, 32), dtype=np.uint8)
    first, *more = map(Image.fromarray, noise)
    first.save(folder / "a.gif", save_all=True, append_images=more)
    first.save(folder / "b.gif")
    return folder


def test_of_animated_pictures_in_a_folder_of_images_the_first_frame_is_taken_and_that_is_said_once(lab, gifs, capfd):
    lab.extract(gifs, **MINI)
    said = " ".join(capfd.readouterr().err.split())
    assert said.count("gifs: 1 picture is animated or has pages, and its first frame is taken (first: a.gif)") == 1
    features = lab.open_features(str(gifs), model="miniature")
    assert list(features.ids) == ["a.gif", "b.gif"]
    np.testing.assert_allclose(features.array[0].astype(float), features.array[1].astype(float), atol=1e-2)


def test_frames_of_animated_pictures_in_a_list_of_clips_are_encoded_and_named(lab, gifs):
    (gifs / "list.txt").write_text("a.gif 20 anger\nb.gif 1 fear\n")
    found = lab.extract(gifs / "list.txt", **MINI)
    assert found.failed == ()
    scores = lab.evaluate(gifs / "list.txt", **MINI, prompts="P-3", head="none", out=None).scores
    assert {one.n for one in scores} == {2}


def test_frames_of_videos_are_counted_once(lab, tmp_path, monkeypatch):
    for name in ("a.mp4", "b.mkv"):
        videos.make(tmp_path / "films" / name, 20)
    lab.extract(tmp_path / "films", **MINI)
    opened = []
    open_video = files.open_video
    monkeypatch.setattr(files, "open_video", lambda path, *how: opened.append(path.name) or open_video(path, *how))
    assert lab.extract(tmp_path / "films", **MINI).encoded == 0
    assert opened == []
    videos.make(tmp_path / "films" / "b.mkv", 25)
    lab.extract(tmp_path / "films", **MINI, plan=True)
    assert opened == ["b.mkv"]


def test_what_is_remembered_of_videos_is_no_data_and_may_be_damaged(lab, tmp_path):
    videos.make(tmp_path / "films" / "a.mp4", 20)
    first = lab.extract(tmp_path / "films", **MINI)
    (lab.cache.root / ".frames.json").write_text('{"x": "y", "z": []')
    assert lab.extract(tmp_path / "films", **MINI).stores[0].key == first.stores[0].key
