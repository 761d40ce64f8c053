"""`expclip datasets audit`: each kind of finding, on small copies."""

import os

import numpy as np
import pytest
from expclip.encoders import pictures
from expclip.manifests.catalogue import DataSet, Split
from expclip.manifests.classes import CLASSES
from expclip.stages.datasets import audit
from PIL import Image


@pytest.fixture
def picture(tmp_path):
    """Saves images that differ, or are the same where they have the same seed."""

    def save(*names, seed=None):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng(list(name.encode()) if seed is None else seed)
            Image.fromarray(noise.integers(0, 256, (4, 4), dtype=np.uint8)).save(path)

    return save


@pytest.fixture
def look(lab, tmp_path):
    """Audits a list with some lines, or a folder."""

    def run(lines=None, folder=None):
        if lines is None:
            return audit(lab.workspace, str(tmp_path / folder), workers=0)
        (tmp_path / "list.txt").write_text("".join(f"{line}\n" for line in lines))
        return audit(lab.workspace, str(tmp_path / "list.txt"), workers=0)

    return run


def test_a_sound_copy_has_no_findings_and_its_counts(picture, look):
    picture("set/happy/1.png", "set/happy/2.png", "set/fear/1.png")
    found = look(folder="set")
    assert (found.name, found.samples, found.rows) == ("set", 3, 3)
    assert found.counts == dict.fromkeys(CLASSES[:7], 0) | {"happiness": 2, "fear": 1}
    assert (found.errors, found.remarks) == ([], [])


def test_missing_empty_and_unreadable_files_are_errors_of_one_line_each(picture, look, tmp_path):
    picture("a.png", "cut.png")
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    whole = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    names = ("a", "cut", "empty", "text", "folder", "pipe", "gone")
    found = look([f"{name}.png 1 -1" for name in names])
    assert found.errors == [
        "cut.png: the file cannot be read completely (image file is truncated)",
        "empty.png: the file is empty",
        "text.png: this is no image",
        "folder.png: this is a folder",
        "pipe.png: this is not an ordinary file",
        "gone.png: the file is missing",
    ]
    assert found.counts["unlabelled"] == 7


def test_frames_that_are_missing_are_one_line_a_clip_and_broken_ones_one_line_a_frame(picture, look, tmp_path):
    picture("one/1.png", "one/2.png", "three/1.png")
    (tmp_path / "three" / "2.png").write_text("hello")
    assert look(["one 5 0", "two 20 1", "three 2 2"]).errors == [
        "one: 3 of the frames that the list promises are missing",
        "two: 20 of the frames that the list promises are missing",
        "three/2.png: this is no image",
    ]


def test_more_frames_than_the_list_says_are_a_remark(picture, look):
    picture(*(f"clip/{k}.png" for k in range(5)))
    found = look(["clip 3 0"])
    more = "1 clip has more frames on disk than the list says (first: clip: 5 on disk, 3 in the list)"
    assert (found.errors, found.remarks) == ([], [more])


def test_files_of_the_same_content_are_a_remark(picture, look):
    picture("a.png", "b.png", "c.png", "d.png", seed=1)
    picture("e.png")
    assert look([f"{name}.png 1 0" for name in "abcde"]).remarks == ["4 files are the same: a.png, b.png, c.png …"]


def test_frames_that_repeat_within_a_clip_are_no_duplicates_but_between_clips_they_are(picture, look):
    picture("one/1.png", "one/2.png", "two/1.png", seed=1)
    assert look(["one 2 0"]).remarks == []
    assert look(["one 2 0", "two 1 0"]).remarks == ["2 clips share 1 frame: one, two"]


def test_clips_that_share_frames_are_one_remark_however_many_frames_and_clips_are_tied_together(picture, look):
    for seed in range(5):
        picture(f"a/{seed}.png", f"b/{seed}.png", seed=seed)
    picture("b/9.png", "c/9.png", seed=9)
    picture("d/1.png", "e/1.png", seed=20)
    picture("f/1.png")
    lines = ["a 5 0", "b 6 0", "c 1 0", "d 1 0", "e 1 0", "f 1 0"]
    expected = ["3 clips share 6 frames: a, b, c", "2 clips share 1 frame: d, e"]
    assert look(lines).remarks == expected
    assert look(lines[::-1]).remarks == expected


def test_samples_that_are_listed_twice_are_a_remark(picture, look):
    picture("a.png", "b.png")
    assert look(["a.png 1 0", "a.png 1 0", "b.png 1 0", "b.png 1 1"]).remarks == [
        "1 sample is listed with different labels (first: b.png)",
        "2 samples are listed more than once (first: a.png)",
    ]


def test_labels_that_contradict_the_name_of_their_folder_are_a_remark(picture, look):
    names = [f"scene/{folder}/1.png" for folder in ("Happy", "Sad", "Fear")]
    picture(*names, "plain/4.png", "0/5.png")
    lines = [f"{name} 1 {label}" for name, label in zip(names, (0, 2, 4), strict=True)]
    assert look([*lines, "plain/4.png 1 3", "0/5.png 1 3"]).remarks == [
        "2 labels are not the class after which a folder is named (first: scene/Sad/1.png is labelled neutral)"
    ]


def test_folders_of_a_class_that_is_a_synonym_elsewhere_are_no_contradiction(picture, look):
    picture("set/calm/1.png", "set/neutral/1.png", "set/happy/1.png")
    (remark,) = look(folder="set").remarks
    assert remark.startswith("calm (neutral): each a class of its own here")


def test_what_the_reader_left_out_is_among_the_remarks(picture, look, tmp_path):
    picture("set/happy/1.png")
    (tmp_path / "set/happy/notes.txt").touch()
    assert look(folder="set").remarks == ["1 file is not an image by name and was left out (first: happy/notes.txt)"]


def test_counts_are_compared_with_the_published_ones(lab, picture, tmp_path, monkeypatch):
    layout = {"reader": "list-files", "path": "{fold}.txt"}
    split = Split.model_validate(
        {"role": "test", "layouts": [layout], "folds": [1, 3], "counts": {"happiness": 3, "sadness": 1}}
    )
    entry = DataSet(
        title="Tiny", about="", kind="images", classes=7, source="", default_split="test", splits={"test": split}
    )
    monkeypatch.setattr("expclip.manifests.catalogue.catalogue", lambda: {"tiny": entry})
    picture("a.png", "b.png", "c.png")
    (tmp_path / "1.txt").write_text("a.png 1 0\n")
    (tmp_path / "2.txt").write_text("b.png 1 1\nc.png 1 0\n")
    found = audit(lab.but(root={"tiny": tmp_path}).workspace, "tiny")
    assert found.remarks == [
        "3 samples, 4 are published",
        "happiness: 2 samples, 3 are published",
        "fold 2: 2 samples, 3 are published",
    ]


def test_one_sample_is_no_samples(lab, picture, tmp_path, monkeypatch):
    layout = {"reader": "list-files", "path": "list.txt"}
    split = Split.model_validate({"role": "test", "layouts": [layout], "total": 2})
    entry = DataSet(
        title="Tiny", about="", kind="images", classes=7, source="", default_split="test", splits={"test": split}
    )
    monkeypatch.setattr("expclip.manifests.catalogue.catalogue", lambda: {"tiny": entry})
    picture("a.png")
    (tmp_path / "list.txt").write_text("a.png 1 0\n")
    assert audit(lab.but(root={"tiny": tmp_path}).workspace, "tiny").remarks == ["1 sample, 2 are published"]


def test_a_sample_in_two_folds_is_a_remark(lab, picture, tmp_path, monkeypatch):
    layout = {"reader": "list-files", "path": "{fold}.txt"}
    split = Split.model_validate({"role": "test", "layouts": [layout], "folds": [1, 1]})
    entry = DataSet(
        title="Tiny", about="", kind="images", classes=7, source="", default_split="test", splits={"test": split}
    )
    monkeypatch.setattr("expclip.manifests.catalogue.catalogue", lambda: {"tiny": entry})
    picture("a.png")
    for fold in (1, 2):
        (tmp_path / f"{fold}.txt").write_text("a.png 1 0\n")
    assert audit(lab.but(root={"tiny": tmp_path}).workspace, "tiny").remarks == [
        "1 sample is in more than one fold (first: a.png)"
    ]


def test_each_file_is_decoded_once(picture, look, monkeypatch):
    read, seen = pictures.read_image, []
    monkeypatch.setattr(pictures, "read_image", lambda path, *how: seen.append(path.name) or read(path, *how))
    picture("a.png", "b.png")
    look(["a.png 1 0", "b.png 1 0", "a.png 1 1"])
    assert sorted(seen) == ["a.png", "b.png"]
