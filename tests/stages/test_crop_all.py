"""All faces of an image, the largest of each frame of a video, and what `predict --crop` makes of them."""

import csv

import numpy as np
import pytest
from expclip import UsageError, crop
from expclip.commands.crop import CROPPED
from expclip.encoders.detectors import DETECTORS, detector
from expclip.manifests.boxes import Face
from lab import Lab
from PIL import Image
from videos import SIDE, make

PLAIN = {"clip": "miniature", "head": "none"}


@pytest.fixture
def looks(monkeypatch):
    """A detector called `fake`: in an image as many faces as its first pixel says, the later ones larger."""

    def find(image):
        count = image.getpixel((0, 0))[0] // 40 % 5
        return [Face(10 * k, 5, 10 * k + 12 + k, 25 + k, 0.5) for k in range(count)]

    monkeypatch.setitem(DETECTORS, "fake", lambda: find)
    detector.cache_clear()
    yield {"detector": "fake", "workers": 0}
    detector.cache_clear()


@pytest.fixture
def party(tmp_path):
    """Three images, with two faces, with none and with one."""
    folder = tmp_path / "party"
    (folder / "day").mkdir(parents=True)
    for name, count in (("day/a.png", 2), ("day/b.png", 0), ("c.png", 1)):
        pixels = np.random.default_rng(count).integers(0, 256, (60, 80, 3), dtype=np.uint8)
        pixels[0, 0] = 40 * count + 5
        Image.fromarray(pixels).save(folder / name)
    return folder


def rows_of(out):
    with (out / "crops.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_face_of_an_image_is_a_crop_with_a_number_the_largest_first(party, tmp_path, looks):
    out = tmp_path / "out"
    found = crop(party, out=out, face="all", **looks)
    cropped = [(one.path, one.number, one.cut) for one in found.crops if one.outcome == CROPPED]
    assert cropped == [
        ("c.png", 1, "c-face1.png"),
        ("day/a.png", 1, "day/a-face1.png"),
        ("day/a.png", 2, "day/a-face2.png"),
    ]
    with Image.open(party / "day" / "a.png") as image, Image.open(out / "day" / "a-face1.png") as cut:
        np.testing.assert_array_equal(np.asarray(cut), np.asarray(image)[5:26, 10:23])
    assert [one.path for one in found.failed] == ["day/b.png"]
    assert [(row["path"], row["number"]) for row in rows_of(out)] == [
        ("c.png", "1"),
        ("day/a.png", "1"),
        ("day/a.png", "2"),
        ("day/b.png", ""),
    ]


def test_the_same_again_looks_at_nothing_and_a_face_that_is_gone_leaves_no_crop(party, tmp_path, looks):
    out = tmp_path / "out"
    first = crop(party, out=out, face="all", **looks)
    again = crop(party, out=out, face="all", **looks)
    assert (again.new, again.crops) == (0, first.crops)
    pixels = np.full((61, 80, 3), 45, np.uint8)  # one face now
    Image.fromarray(pixels).save(party / "day" / "a.png")
    changed = crop(party, out=out, face="all", **looks)
    assert changed.new == 1
    assert sorted(path.name for path in (out / "day").iterdir()) == ["a-face1.png"]


def test_each_frame_of_a_video_has_the_largest_face(tmp_path, looks):
    make(tmp_path / "films" / "a.mp4", frames=6)
    found = crop(tmp_path / "films", out=tmp_path / "out", face="all", **looks)
    assert [one.frame for one in found.crops] == list(range(6))
    names = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.jpg"))
    assert names == [one.cut for one in found.crops if one.outcome == CROPPED]
    assert all(name.startswith("a-mp4/") for name in names)
    assert crop(tmp_path / "films", out=tmp_path / "out", face="all", **looks).new == 0


def test_a_video_whose_last_line_is_lacking_is_done_again(tmp_path, looks):
    make(tmp_path / "films" / "a.mp4", frames=5)
    whole = crop(tmp_path / "films", out=tmp_path / "out", **looks)
    record = tmp_path / "out" / "crops.csv"
    record.write_text("".join(record.read_text().splitlines(keepends=True)[:3]))  # as a killed process leaves it
    again = crop(tmp_path / "films", out=tmp_path / "out", **looks)
    assert (again.new, again.crops) == (1, whole.crops)


def test_a_video_that_cannot_be_read_is_listed(tmp_path, looks):
    make(tmp_path / "films" / "a.mp4", frames=3)
    (tmp_path / "films" / "b.mp4").write_bytes(b"no video at all")
    found = crop(tmp_path / "films", out=tmp_path / "out", **looks)
    assert [one.path for one in found.failed if one.path == "b.mp4"] == ["b.mp4"]


def test_predict_has_a_row_for_each_face_and_one_where_there_is_none(lab: Lab, party, tmp_path, looks):
    answer = lab.predict(party, **PLAIN, crop=True, detector="fake", out=tmp_path / "labels", draw=True, margin=0)
    assert [(row.path.rpartition("/")[2], row.face, bool(row.error)) for row in answer.rows] == [
        ("c.png", 1, False),
        ("a.png", 1, False),
        ("a.png", 2, False),
        ("b.png", None, True),
    ]
    assert answer.rows[1].box == (10, 5, 23, 26)
    drawn = sorted(path.name for path in (tmp_path / "labels" / "drawn").iterdir())
    assert drawn == ["a.jpg", "c.jpg"]
    (cut,) = (tmp_path / "labels" / "faces").rglob("a-face2.png")
    alone = lab.predict(cut, **PLAIN)
    np.testing.assert_allclose(alone.rows[0].probabilities, answer.rows[2].probabilities, atol=1e-6)


def test_of_a_video_the_faces_of_all_frames_count_together(lab: Lab, tmp_path, looks):
    video = make(tmp_path / "a.mp4", frames=8)
    how = {**PLAIN, "crop": True, "detector": "fake", "frames": "all"}
    answer = lab.predict(video, **how, out=tmp_path / "labels", draw=True)
    (row,) = answer.rows
    assert row.label and row.face is None and row.path.endswith("a.mp4")
    assert {path.name for path in (tmp_path / "labels" / "drawn").iterdir()} == {"a.mp4", "a.png"}
    again = lab.predict(video, **how, out=tmp_path / "labels")
    assert again.rows == answer.rows


def test_a_video_without_faces_is_a_row_with_an_error_and_alone_one_line(
    lab: Lab, party, tmp_path, monkeypatch, looks
):
    video = make(tmp_path / "party" / "film.mp4", frames=3)
    monkeypatch.setitem(
        DETECTORS, "fake", lambda: lambda image: [] if image.width == SIDE else [Face(5, 5, 40, 40, 1)]
    )
    detector.cache_clear()
    answer = lab.predict(party, **PLAIN, crop=True, detector="fake", out=tmp_path / "labels")
    assert [row.error for row in answer.rows if row.path.endswith("film.mp4")] == ["fake finds no face"]
    with pytest.raises(UsageError, match="no face was found"):
        lab.predict(video, **PLAIN, crop=True, detector="fake", out=tmp_path / "alone")


def test_crops_need_a_place(lab: Lab, party):
    with pytest.raises(UsageError, match="crops need a place"):
        lab.predict(party, **PLAIN, crop=True)
