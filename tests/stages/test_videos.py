"""Clips as video files: read, extracted and audited like folders of the same frames."""

import builtins

import numpy as np
import pytest
import trees
import videos
from expclip.encoders import video_frames as reader
from expclip.errors import UsageError
from expclip.manifests.catalogue import catalogue
from expclip.manifests.classes import CLASSES
from expclip.stages.datasets import audit
from lab import Lab
from PIL import Image


@pytest.fixture
def root(tmp_path):
    return tmp_path / "root"


@pytest.fixture
def lab(tmp_path, root) -> Lab:
    """Its data sets are all below `root`."""
    root.mkdir()
    return Lab(tmp_path / "cache", root=dict.fromkeys(catalogue(), root), batch_size=8)


@pytest.fixture
def begun(monkeypatch):
    """The files whose decoding was begun, in order."""
    files: list[str] = []
    decoded = reader.decoded

    def noted(container, stream):
        files.append(container.name.rpartition("/")[2])
        return decoded(container, stream)

    monkeypatch.setattr(reader, "decoded", noted)
    return files


@pytest.fixture
def listed(root):
    """Makes a list file with some lines and returns its path as a data set's name."""

    def make(*lines, name="list"):
        trees.text(root / f"{name}.txt", list(lines))
        return str(root / f"{name}.txt")

    return make


def unfold(video, folder):
    """Writes the frames of a video, decoded from the beginning, as images."""
    folder.mkdir(parents=True)
    for number, pixels in enumerate(videos.sequential(video)):
        Image.fromarray(pixels).save(folder / f"{number:04d}.png")


@pytest.mark.parametrize("suffix", ["mp4", "avi"])
def test_features_of_a_video_are_those_of_a_folder_of_its_frames(lab, root, listed, suffix):
    codec = "libx264" if suffix == "mp4" else "mpeg4"
    for k, frames in enumerate((40, 10)):
        unfold(
            videos.make(root / f"my clips/{k}.{suffix}", frames, codec, {"g": "10"}, seed=9 * k), root / f"frames/{k}"
        )
    as_videos = listed(f"my clips/0.{suffix} 40 anger", f"my clips/1.{suffix} 10 fear", name="videos")
    as_folders = listed("frames/0 40 anger", "frames/1 10 fear", name="folders")
    lab.extract([as_videos, as_folders], clip="miniature")
    one, other = (lab.open_features(name, model="miniature") for name in ("videos", "folders"))
    assert len(one.array) == 16 + 10
    np.testing.assert_array_equal(one.array, other.array)
    for policy in ("released", "edge"):
        np.testing.assert_array_equal(one.manifest.samples(policy).indices, other.manifest.samples(policy).indices)
    assert one.ids[:2] == (f"my clips/0.{suffix}[1]", f"my clips/0.{suffix}[3]")


def test_a_video_is_decoded_once_whatever_the_batches(lab, root, listed, begun):
    videos.make(root / "a.mp4", 60, options={"g": "250", "sc_threshold": "0"})
    videos.make(root / "b.mp4", 60, options={"g": "250", "sc_threshold": "0"}, seed=5)
    lab.extract(listed("a.mp4 60 0", "b.mp4 60 1"), clip="miniature", frames="all")
    assert sorted(begun) == ["a.mp4", "b.mp4"]


def test_equal_frames_are_one_row(lab, root, listed):
    videos.make(root / "a.mp4", 8)
    manifest = lab.workspace.read(lab.workspace.dataset(listed("a.mp4 8 0", "a.mp4 8 0")))
    assert manifest.rows.sources == ("a.mp4",) * 8
    assert manifest.rows.frames.tolist() == list(range(8))
    assert set(manifest.rows.sizes.tolist()) == {(root / "a.mp4").stat().st_size}
    assert manifest.samples("released").indices.tolist() == [0] * 32


def test_where_the_list_says_how_many_frames_no_video_is_opened_before_the_work(lab, root, listed, monkeypatch):
    videos.make(root / "a.mp4", 20)
    monkeypatch.setattr("expclip.manifests.videos.open_video", lambda path: pytest.fail("opened"))
    assert len(lab.workspace.read(lab.workspace.dataset(listed("a.mp4 20 0"))).rows) == 16


def test_short_damaged_and_missing_videos_fail_with_the_reason(lab, root, listed):
    videos.make(root / "good.mp4", 20)
    videos.make(root / "short.mp4", 18)
    (root / "text.mp4").write_text("hello")
    name = listed("good.mp4 20 0", "short.mp4 20 1", "text.mp4 3 2", "gone.avi 3 3")
    failed = lab.extract(name, clip="miniature").failed
    reasons = {row.source: row.error for row in failed}
    assert reasons["short.mp4[18]"] == "the video has only 18 frames"
    assert reasons["text.mp4[2]"].startswith("this is not a readable video")
    assert reasons["gone.avi[0]"] == "the file is missing"
    assert not any(source.startswith("good.mp4") for source in reasons)
    errors = audit(lab.workspace, name).errors
    assert len(errors) == 3
    assert "short.mp4: the video has only 18 frames (2 frames fail)" in errors
    assert "gone.avi: the file is missing (3 frames fail)" in errors


def test_more_frames_than_the_list_says_are_a_remark(lab, root, listed):
    videos.make(root / "a.mp4", 20)
    found = audit(lab.workspace, listed("a.mp4 18 0"))
    more = "1 video has more frames than the list says (first: a.mp4: 20 in the video, 18 in the list)"
    assert (found.errors, found.remarks) == ([], [more])


def test_two_names_of_one_video_share_their_frames(lab, root, listed):
    for name in ("a.mp4", "b.mp4"):
        videos.make(root / name, 3)
    found = audit(lab.workspace, listed("a.mp4 3 0", "b.mp4 3 0"))
    assert found.remarks == ["2 clips share 3 frames: a.mp4, b.mp4"]


def test_mafw_may_be_its_own_lists_and_videos(lab, root):
    for fold in range(1, 6):
        trees.text(root / f"Train & Test Set/single/no_caption/set_{fold}/test.txt", [f"0000{fold}.mp4 contempt"])
        videos.make(root / f"clips/0000{fold}.mp4", 3 + fold, seed=10 * fold)
    manifest = lab.workspace.read(lab.workspace.dataset("mafw"))
    assert manifest.sample_ids == tuple(f"clips/0000{fold}.mp4" for fold in range(1, 6))
    assert manifest.folds.tolist() == [1, 2, 3, 4, 5]
    assert len(manifest.rows) == 4 + 5 + 6 + 7 + 8
    assert audit(lab.workspace, "mafw").errors == []


def test_mafw_prefers_folders_of_faces_to_videos(lab, root):
    for fold in range(1, 6):
        trees.text(root / f"single/no_caption/set_{fold}/test.txt", [f"0000{fold}.mp4 anger"])
        trees.clip(root / f"data/faces/0000{fold}", 2)
        (root / "clips").mkdir(exist_ok=True)
    assert lab.workspace.read(lab.workspace.dataset("mafw")).sample_ids[0] == "data/faces/00001"


def test_afew_may_be_folders_of_videos(lab, root):
    for k, folder in enumerate(trees.AFEW_FOLDERS):
        videos.make(root / f"Val_AFEW/{folder}/000{k}.avi", 5, "mpeg4", seed=6 * k)
    manifest = lab.workspace.read(lab.workspace.dataset("afew"))
    assert manifest.sample_ids[:2] == ("Val_AFEW/Anger/0003.avi", "Val_AFEW/Disgust/0005.avi")
    assert sorted(manifest.labels.tolist()) == list(range(7))
    assert audit(lab.workspace, "afew").errors == []


def test_a_folder_of_videos_is_read_with_and_without_classes(lab, root):
    for name in ("happy", "sad"):
        videos.make(root / f"classes/{name}/a.mp4", 3)
    videos.make(root / "plain/deep/a.mp4", 4)
    classes, plain = (lab.workspace.read(lab.workspace.dataset(str(root / name))) for name in ("classes", "plain"))
    assert (classes.kind, classes.classes) == ("clips", CLASSES[:7])
    assert dict(zip(classes.sample_ids, classes.labels.tolist(), strict=True)) == {"happy/a.mp4": 0, "sad/a.mp4": 1}
    assert (plain.kind, plain.sample_ids, plain.is_labelled) == ("clips", ("deep/a.mp4",), False)
    assert len(plain.rows) == 4


def test_videos_among_images_are_left_out_with_a_remark(lab, root):
    trees.picture(root / "photos/a.png")
    videos.make(root / "photos/b.mp4", 3)
    manifest = lab.workspace.read(lab.workspace.dataset(str(root / "photos")))
    assert (manifest.kind, len(manifest)) == ("images", 1)
    assert manifest.remarks == ("1 file is not an image by name and was left out (first: b.mp4)",)


def test_without_pyav_the_list_is_refused_before_any_work(lab, root, listed, monkeypatch):
    videos.make(root / "a.mp4", 3)
    name = listed("a.mp4 3 0")
    real = builtins.__import__

    def without(module, *args, **kwargs):
        if module == "av":
            raise ImportError("No module named 'av'")
        return real(module, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        UsageError, match=r"^videos need PyAV: run pip install 'expclip\[video\]', or give folders of"
    ):
        lab.workspace.read(lab.workspace.dataset(name))
