"""Labels that are corrected, and files that come, go and change, are noticed where they can be reached."""

import csv
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from expclip import UsageError
from expclip.manifests.classes import CLASSES
from lab import Lab
from PIL import Image

SCORING = {"clip": "miniature", "prompts": "P-3", "head": "none", "intervals": False}


@pytest.fixture
def pictures(tmp_path, save_face) -> Path:
    """14 faces, two of each class."""
    for index in range(14):
        save_face(tmp_path / "pictures" / f"{index:02d}.png", 5, index, index % 7, size=32)
    return tmp_path / "pictures"


@pytest.fixture
def listed(pictures) -> Path:
    return write(pictures.parent / "list.txt", [index % 7 for index in range(14)])


def write(file: Path, labels) -> Path:
    file.write_text("".join(f"{index:02d}.png 1 {label}\n" for index, label in enumerate(labels)))
    return file


def folders(pictures: Path, labels) -> Path:
    """The same faces as an image folder."""
    root = pictures.parent / "folders"
    for index, label in enumerate(labels):
        (root / CLASSES[label]).mkdir(parents=True, exist_ok=True)
        shutil.copy(pictures / f"{index:02d}.png", root / CLASSES[label])
    return root


def score(lab: Lab, data, **changes):
    (found,) = lab.evaluate(data, **SCORING | changes).scores
    return found


def accuracy(lab: Lab, data, labels) -> float:
    """Of labels against what is predicted."""
    (found,) = lab.evaluate(data, **SCORING).predictions
    return 100 * float(np.mean(found.predicted == np.asarray(labels)))


@pytest.mark.parametrize("cached_only", [False, True])
def test_a_corrected_label_encodes_nothing_and_changes_the_scores(lab, pictures, listed, work, capsys, cached_only):
    old, new = [index % 7 for index in range(14)], [(index + 1) % 7 for index in range(14)]
    before = score(lab, listed, root=pictures)
    assert before.war == pytest.approx(accuracy(lab, listed, old))
    work.clear()
    write(listed, new)
    now = score(lab, listed, cached_only=cached_only)
    assert not work
    assert now.war == pytest.approx(accuracy(lab, listed, new)) != before.war
    assert "read again, since it changed after" in capsys.readouterr().err
    score(lab, listed)
    assert "read again" not in capsys.readouterr().err


def test_a_picture_in_another_class_folder_is_encoded_alone(lab, pictures, work, capsys):
    root = folders(pictures, [index % 7 for index in range(14)])
    before = score(lab, root)
    (root / "fear" / "06.png").rename(root / "anger" / "06.png")
    work.clear()
    now = score(lab, root)
    assert work["ImageTower inputs"] == 1, "its path is another one"
    assert now.n == before.n
    assert "1 sample added, 1 sample removed" in capsys.readouterr().err


def test_pictures_that_came_went_and_changed_are_encoded_and_said(lab, pictures, work, capsys):
    root = folders(pictures, [index % 7 for index in range(14)])
    score(lab, root)
    shutil.copy(root / "fear" / "06.png", root / "fear" / "new.png")
    (root / "anger" / "03.png").unlink()
    Image.new("RGB", (30, 30), "red").save(root / "sadness" / "01.png")
    with pytest.raises(UsageError, match="has no complete clip_image"):
        lab.evaluate(root, **SCORING, cached_only=True)
    work.clear()
    assert score(lab, root).n == 14
    assert work["ImageTower inputs"] == 2
    assert "1 sample added, 1 sample removed, 1 file replaced" in capsys.readouterr().err


def test_open_features_gives_the_labels_as_they_are(lab, pictures, listed):
    lab.extract(listed, root=pictures, clip="miniature")
    write(listed, [2] * 14)
    assert lab.open_features(str(listed), model="miniature").labels.tolist() == [2] * 14


@pytest.mark.parametrize("gone", ["list", "pictures and list"])
def test_where_labels_cannot_be_read_again_results_say_of_which_date_they_are(
    lab, pictures, listed, tmp_path, capsys, gone
):
    fresh = score(lab, listed, root=pictures)
    assert fresh.of.labels_of == ""
    file = lab.cache.root / "list" / "current.json"
    noted = json.loads(file.read_text())
    del noted["content_digest"]
    file.write_text(json.dumps(noted | {"read": "2024-02-03T04:05:06+00:00"}))
    listed.unlink()
    if gone == "pictures and list":
        shutil.rmtree(pictures)
    found = score(lab, str(listed), out=tmp_path / "out")
    assert found.of.labels_of == "2024-02-03T04:05:06+00:00"
    assert found.war == fresh.war
    assert "labels of 2024-02-03" in (tmp_path / "out" / "tables.md").read_text()
    with (tmp_path / "out" / "scores.csv").open() as rows:
        assert next(csv.DictReader(rows))["labels_of"] == "2024-02-03T04:05:06+00:00"
    assert "its labels are those of 2024-02-03" in capsys.readouterr().err


@pytest.mark.parametrize("line", ["../x.png 1 fear", "00.png fear", "00.png 1 12"])
def test_a_list_that_is_there_and_wrong_is_an_error(lab, pictures, listed, line):
    """Only where it cannot be reached do the labels that were read before hold."""
    score(lab, listed, root=pictures)
    listed.write_text(listed.read_text() + line + "\n")
    with pytest.raises(UsageError, match=r"list.txt:15: "):
        score(lab, listed)


def test_an_unchanged_list_whose_pictures_are_elsewhere_says_the_labels_of_now(lab, pictures, listed):
    before = score(lab, listed, root=pictures)
    for picture in pictures.iterdir():
        picture.unlink()
    now = score(lab, listed)
    assert (now.war, now.of.labels_of) == (before.war, "")
    write(listed, [1] * 14)
    assert score(lab, listed).of.labels_of != ""


@pytest.mark.parametrize("by_contents", [False, True])
def test_a_picture_that_was_replaced_is_noticed_by_evaluate(lab, pictures, listed, work, by_contents):
    lab.extract(listed, root=pictures, clip="miniature", hash=by_contents)
    (found,) = lab.evaluate(listed, **SCORING).predictions
    save = Image.open(pictures / "04.png").rotate(90)
    save.save(pictures / "04.png", compress_level=0)
    work.clear()
    (now,) = lab.evaluate(listed, **SCORING).predictions
    assert work["ImageTower inputs"] == 1
    assert (now.similarity != found.similarity).any(axis=1).tolist() == [k == 4 for k in range(14)]


def test_pictures_that_became_videos_are_read_as_such(lab, tmp_path):
    import videos

    for name in ("a.png", "b.png"):
        (tmp_path / "set").mkdir(exist_ok=True)
        Image.new("RGB", (20, 20), "red" if name == "a.png" else "blue").save(tmp_path / "set" / name)
    lab.extract(tmp_path / "set", clip="miniature")
    for path in (tmp_path / "set").iterdir():
        path.unlink()
    videos.make(tmp_path / "set/a.mp4", 4)
    with pytest.raises(UsageError, match="has no complete clip_image"):
        lab.open_features(str(tmp_path / "set"), model="miniature")
    assert lab.extract(tmp_path / "set", clip="miniature").encoded > 0


def test_hash_stays_until_it_is_undone(lab, pictures):
    lab.extract(pictures, clip="miniature", hash=True)
    assert lab.extract(pictures, clip="miniature").encoded == 0
    assert lab.extract(pictures, clip="miniature", hash=False).encoded == 14


def test_a_cache_that_may_not_be_written_to_still_serves(lab, pictures, listed):
    before = score(lab, listed, root=pictures)
    write(listed, [(index + 1) % 7 for index in range(14)])
    folder = lab.cache.root / "list"
    noted = (folder / "current.json").read_bytes()
    folder.chmod(0o500)
    try:
        assert score(lab, listed, cached_only=True).war != before.war
        assert os.geteuid() == 0 or (folder / "current.json").read_bytes() == noted
    finally:
        folder.chmod(0o700)


def test_a_file_replaced_by_one_of_its_size_is_noticed_by_its_contents(lab, tmp_path, work, capsys):
    def save(name: str, colour: str) -> None:
        picture = Image.linear_gradient("L").resize((16, 16)).convert("RGB")
        picture.paste(colour, (0, 0, 9, 9))
        picture.save(tmp_path / "flat" / name)

    (tmp_path / "flat").mkdir()
    for name, colour in (("a.bmp", "red"), ("b.bmp", "green"), ("c.bmp", "blue")):
        save(name, colour)
    flat = tmp_path / "flat"
    lab.extract(flat, clip="miniature", hash=True)
    before = lab.open_features(str(flat), model="miniature").array
    assert lab.extract(flat, clip="miniature", hash=True).encoded == 0
    save("b.bmp", "white")
    work.clear()
    assert lab.extract(flat, clip="miniature", hash=True).encoded == 1
    assert work["ImageTower inputs"] == 1
    now = lab.open_features(str(flat), model="miniature").array
    assert (now != before).any(axis=1).tolist() == [False, True, False]
    save("d.bmp", "black")
    work.clear()
    (found,) = lab.extract(flat, clip="miniature", features="clip_image", hash=True).stores
    assert (found.cached, found.missing) == (3, 1)


def test_files_that_were_told_by_their_contents_are_so_afterwards(lab, pictures, listed, work):
    lab.extract(listed, root=pictures, clip="miniature", hash=True)
    work.clear()
    write(listed, [1] * 14)
    assert score(lab, listed).n == 14
    assert not {name for name in work if name.startswith("Image")}


@pytest.mark.parametrize("frames", ["released", "edge"])
def test_all_frames_after_some_encode_the_others(lab, clips, work, frames):
    lab.extract(clips, clip="miniature", frames=frames)
    work.clear()
    everything = lab.extract(clips, clip="miniature", frames="all")
    total = everything.stores[0].rows
    assert work["ImageTower inputs"] == everything.encoded == total - everything.stores[0].cached > 0
    work.clear()
    for policy in ("released", "edge", "all"):
        lab.evaluate(clips, **SCORING, frames=policy)
    assert work["ImageTower inputs"] == 0


def test_rows_that_failed_are_tried_again_on_request(lab, pictures, work):
    whole = (pictures / "03.png").read_bytes()
    (pictures / "03.png").write_bytes(whole[:40].ljust(len(whole), b"\0"))
    assert len(lab.extract(pictures, clip="miniature").failed) == 1
    (pictures / "03.png").write_bytes(whole)
    work.clear()
    assert len(lab.extract(pictures, clip="miniature").failed) == 1
    assert not work
    again = lab.extract(pictures, clip="miniature", retry_failed=True)
    assert (again.encoded, again.failed) == (1, ())
    assert work["ImageTower inputs"] == 1
