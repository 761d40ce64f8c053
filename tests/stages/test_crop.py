"""Faces from scenes: what is cut out, what is on record, and that the same command goes on where it stopped."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from expclip import UsageError, crop
from expclip.aside import beside
from expclip.cli import app
from expclip.encoders.detectors import DETECTORS, detector
from expclip.manifests.boxes import Face
from PIL import Image
from typer.testing import CliRunner

FAKE = {"detector": "fake", "workers": 0}
"""In this process, where the fake is."""


@pytest.fixture
def scenes(tmp_path):
    """Six scenes of 120 × 80 pixels of noise, two of them JPEG, in folders whose names hold spaces."""
    folder = tmp_path / "scenes"
    for k in range(6):
        path = folder / "train" / ("Anger x" if k < 3 else "Sad") / f"{k} a.{'jpg' if k > 3 else 'png'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(k).integers(0, 256, (80, 120, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
    return folder


def paths_in(scenes):
    return sorted(path.relative_to(scenes).as_posix() for path in scenes.rglob("* a.*"))


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def rows_of(out):
    with (out / "crops.csv").open(newline="", encoding="utf-8") as file:
        return {row["path"]: row for row in csv.DictReader(file)}


def times_of(out):
    return {path: path.stat().st_mtime_ns for path in out.rglob("* a.*")}


@pytest.fixture
def looks(monkeypatch):
    """A detector called `fake` that finds what `looks.faces` says, and counts the images it saw."""

    class Looks:
        faces = (Face(10, 10, 40, 50, 0.5),)
        seen = 0

        def __call__(self, image):
            self.seen += 1
            return list(self.faces)

    fake = Looks()
    monkeypatch.setitem(DETECTORS, "fake", lambda: fake)
    detector.cache_clear()
    yield fake
    detector.cache_clear()


def test_crops_are_the_pixels_of_the_box_under_the_same_relative_path(scenes, tmp_path):
    boxes = {path: (k, 2 * k, 50 + k, 60 + k) for k, path in enumerate(paths_in(scenes))}
    (tmp_path / "boxes.txt").write_text("".join(f"{p} {' '.join(map(str, b))}\n" for p, b in boxes.items()))
    out = tmp_path / "out"
    found = crop(scenes, out=out, boxes=tmp_path / "boxes.txt", workers=2)
    assert not found.failed
    assert paths_in(out) == paths_in(scenes)
    for path, (x0, y0, x1, y1) in boxes.items():
        expected = pixels(scenes / path)[y0:y1, x0:x1]
        if path.endswith(".png"):
            np.testing.assert_array_equal(pixels(out / path), expected)
        else:  # compressed once more
            assert pixels(out / path).shape == expected.shape
            assert np.abs(pixels(out / path).astype(int) - expected).mean() < 5
    rows = rows_of(out)
    assert {path: tuple(int(row[c]) for c in ("x0", "y0", "x1", "y1")) for path, row in rows.items()} == boxes
    assert {(row["outcome"], row["n_faces"], row["score"]) for row in rows.values()} == {("cropped", "1", "")}


def test_of_several_faces_one_is_cut_out_and_all_are_counted(scenes, tmp_path, looks):
    looks.faces = (Face(0, 0, 50, 50, 0.2), Face(50, 30, 70, 50, 0.25), Face(-90, -90, 0, 80, 3.0))
    crop(scenes, out=tmp_path / "large", **FAKE)
    crop(scenes, out=tmp_path / "middle", **FAKE, face="central", margin=0.5)
    path = paths_in(scenes)[0]
    np.testing.assert_array_equal(pixels(tmp_path / "large" / path), pixels(scenes / path)[:50, :50])
    np.testing.assert_array_equal(pixels(tmp_path / "middle" / path), pixels(scenes / path)[20:60, 40:80])
    row = rows_of(tmp_path / "middle")[path]
    assert [row[c] for c in ("n_faces", "score", "x0", "y0", "x1", "y1")] == ["3", "0.25", "50", "30", "70", "50"]


def test_a_rotated_photo_is_turned_upright_before_it_is_looked_at(tmp_path, looks):
    scene = np.zeros((80, 120, 3), dtype=np.uint8)
    scene[:40, :60] = 255  # upper left as stored, upper right when upright
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "in").mkdir()
    Image.fromarray(scene).save(tmp_path / "in" / "0 a.png", exif=exif)
    looks.faces = (Face(40, 0, 80, 60, 1.0),)
    crop(tmp_path / "in", out=tmp_path / "out", **FAKE)
    with Image.open(tmp_path / "out" / "0 a.png") as image:
        assert image.size == (40, 60)
        assert not image.getexif()
        assert (np.asarray(image) == 255).all()


def test_what_has_no_crop_is_listed_and_never_guessed(scenes, tmp_path):
    first, second, third, fourth, *rest = paths_in(scenes)
    lines = [f"{first} 500 500 600 600", f"{second} 0 0 0 0", f"{third} 100 60 500 500"]
    (tmp_path / "boxes.txt").write_text("\n".join([*lines, *(f"{path} 1 1 9 9" for path in rest)]))
    (scenes / rest[0]).write_bytes(b"no image")
    out = tmp_path / "out"
    found = crop(scenes, out=out, boxes=tmp_path / "boxes.txt", workers=0)
    said = {one.path: (one.outcome, one.why) for one in found.failed}
    assert said == {
        first: ("outside", "the box has no pixel of the image, which is 120 × 80"),
        second: ("outside", "the box has no pixel of the image, which is 120 × 80"),
        fourth: ("no-face", "the list has no box for it"),
        rest[0]: ("unreadable", "this is no image"),
    }
    assert pixels(out / third).shape == (20, 20, 3)
    assert paths_in(out) == sorted([third, *rest[1:]])
    assert {path: (row["outcome"], row["why"]) for path, row in rows_of(out).items() if row["why"]} == said


def test_the_command_lists_what_failed_and_ends_with_exit_code_3(scenes, tmp_path, looks):
    looks.faces = ()
    arguments = ["crop", scenes, "--out", tmp_path / "out", "--detector", "fake", "--workers", 0]
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    assert result.exit_code == 3
    assert f"failed: {paths_in(scenes)[0]}: fake finds no face" in result.stderr
    assert "6 images have no crop" in result.stderr
    result = CliRunner().invoke(app, [str(one) for one in (*arguments, "--json")])
    assert result.exit_code == 3
    document = json.loads(result.stdout)
    assert (document["images"], document["cropped"], document["new"]) == (6, 0, 0)
    assert [one["path"] for one in document["failed"]] == paths_in(scenes)


def test_only_what_is_missing_is_looked_at_again(scenes, tmp_path, looks):
    out = tmp_path / "out"
    assert crop(scenes, out=out, **FAKE).new == 6
    before = times_of(out)
    assert crop(scenes, out=out, **FAKE).new == 0
    first, second, third, *_ = paths_in(scenes)
    (out / first).unlink()  # a record without a crop
    lines = (out / "crops.csv").read_text().splitlines(keepends=True)
    (out / "crops.csv").write_text("".join(line for line in lines if not line.startswith(second)))
    (scenes / third).write_bytes((scenes / paths_in(scenes)[4]).read_bytes())  # another image of that name
    again = crop(scenes, out=out, **FAKE)
    assert (again.new, looks.seen, len(again.crops)) == (3, 9, 6)
    after = times_of(out)
    assert {path.relative_to(out).as_posix() for path in after if after[path] != before[path]} == {
        first,
        second,
        third,
    }
    assert len(rows_of(out)) == 6
    assert len((out / "crops.csv").read_text().splitlines()) == 7


@pytest.mark.parametrize("torn", range(1, 60, 7))
def test_a_line_that_was_cut_short_counts_as_none_and_harms_no_other(scenes, tmp_path, looks, torn):
    out = tmp_path / "out"
    crop(scenes, out=out, **FAKE)
    text = (out / "crops.csv").read_text()
    last = text.splitlines(keepends=True)[-1]
    (out / "crops.csv").write_text(text[: -min(torn, len(last) - 1)])
    assert crop(scenes, out=out, **FAKE).new == 1
    assert (out / "crops.csv").read_text() == text


def test_an_image_that_could_not_be_read_is_tried_again_and_one_without_a_face_is_not(scenes, tmp_path, looks):
    out = tmp_path / "out"
    broken = scenes / paths_in(scenes)[0]
    whole = broken.read_bytes()
    broken.write_bytes(bytes(len(whole)))
    looks.faces = ()
    assert crop(scenes, out=out, **FAKE).new == 6
    broken.write_bytes(whole)
    assert crop(scenes, out=out, **FAKE).new == 1
    assert looks.seen == 6


def test_a_crop_of_an_image_that_has_no_face_any_more_goes(scenes, tmp_path, looks):
    out, changed = tmp_path / "out", paths_in(scenes)[0]
    crop(scenes, out=out, **FAKE)
    assert (out / changed).is_file()
    Image.new("RGB", (64, 64)).save(scenes / changed)
    looks.faces = ()
    assert crop(scenes, out=out, **FAKE).new == 1
    assert rows_of(out)[changed]["outcome"] == "no-face"
    assert not (out / changed).exists()
    assert len(times_of(out)) == 5


def test_what_a_killed_run_was_writing_goes_with_the_next_one(scenes, tmp_path, looks):
    out, first = tmp_path / "out", paths_in(scenes)[0]
    crop(scenes, out=out, **FAKE)
    host = beside(out).suffix.partition("-")[0]
    remains = (out / first).with_name(f".0 a.png{host}-ffffffff-000000-abcdef")
    (out / first).rename(remains)
    assert crop(scenes, out=out, **FAKE).new == 1
    assert not remains.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_may_hold_line_breaks_quotes_and_bytes_that_are_no_text(scenes, tmp_path, looks):
    odd = os.fsdecode(b'a "b",\nc \xff a.png')
    (scenes / paths_in(scenes)[0]).rename(scenes / odd)
    out = tmp_path / "out"
    assert not crop(scenes, out=out, **FAKE).failed
    assert (out / odd).is_file()
    assert crop(scenes, out=out, **FAKE).new == 0


def test_other_settings_in_the_same_folder_are_refused_by_name(scenes, tmp_path, looks, monkeypatch):
    monkeypatch.setitem(DETECTORS, "other", lambda: looks)
    (tmp_path / "boxes.txt").write_text(f"{paths_in(scenes)[0]} 0 0 9 9\n")
    out = tmp_path / "out"
    crop(scenes, out=out, **FAKE)
    before = times_of(out)
    for how, said in (
        (FAKE | {"margin": 0.1}, r"margin was 0.0 and is 0.1 now"),
        (FAKE | {"face": "central"}, r"face was largest and is central now"),
        (FAKE | {"detector": "other"}, r"detector was fake and is other now"),
        (
            {"boxes": tmp_path / "boxes.txt", "workers": 0},
            r"detector was fake and is None now; boxes \(SHA-256\) was None",
        ),
    ):
        with pytest.raises(UsageError, match=said):
            crop(scenes, out=out, **how)
    with pytest.raises(UsageError, match=r"source was .*scenes and is .*train now"):
        crop(scenes / "train", out=out, **FAKE)
    assert times_of(out) == before


def test_another_list_of_boxes_is_refused_and_the_same_under_another_name_is_not(scenes, tmp_path):
    first, second, out = tmp_path / "1.txt", tmp_path / "2.txt", tmp_path / "out"
    first.write_text("".join(f"{path} 0 0 9 9\n" for path in paths_in(scenes)))
    crop(scenes, out=out, boxes=first, workers=0)
    second.write_bytes(first.read_bytes())
    assert crop(scenes, out=out, boxes=second, workers=0).new == 0
    second.write_text(first.read_text().replace("9 9", "8 8"))
    with pytest.raises(UsageError, match=r"boxes \(SHA-256\) was [0-9a-f]+ and is [0-9a-f]+ now"):
        crop(scenes, out=out, boxes=second, workers=0)


def test_a_folder_of_other_files_is_left_alone(scenes, tmp_path, looks):
    mine = tmp_path / "mine" / paths_in(scenes)[0]
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"precious")
    with pytest.raises(UsageError, match="choose a new or an empty folder"):
        crop(scenes, out=tmp_path / "mine", **FAKE)
    for inside in (scenes, scenes / "train" / "crops"):
        with pytest.raises(UsageError, match="crops would be taken for images"):
            crop(scenes, out=inside, **FAKE)
    assert mine.read_bytes() == b"precious"


def test_boxes_of_images_that_are_not_there_are_a_remark_and_only_such_boxes_a_mistake(scenes, tmp_path):
    boxes = tmp_path / "boxes.txt"
    boxes.write_text("test/0 a.png 0 0 9 9\n")
    with pytest.raises(UsageError, match="none of its 1 images lies in"):
        crop(scenes, out=tmp_path / "out", boxes=boxes)
    boxes.write_text("test/0 a.png 0 0 9 9\n" + "".join(f"{path} 0 0 9 9\n" for path in paths_in(scenes)))
    found = crop(scenes, out=tmp_path / "out", boxes=boxes, workers=0)
    assert found.remarks == (f"1 images of {boxes} are not in {scenes} (first: test/0 a.png)",)


def test_shares_of_the_image_are_scaled_to_it_and_said(scenes, tmp_path):
    boxes = tmp_path / "boxes.txt"
    boxes.write_text("".join(f"{path} 0.25 0.5 0.75 1\n" for path in paths_in(scenes)))
    found = crop(scenes, out=tmp_path / "out", boxes=boxes, workers=1)
    path = paths_in(scenes)[0]
    np.testing.assert_array_equal(pixels(tmp_path / "out" / path), pixels(scenes / path)[40:80, 30:90])
    assert [rows_of(tmp_path / "out")[path][c] for c in ("x0", "y0", "x1", "y1")] == ["30", "40", "90", "80"]
    assert found.remarks == (
        f"{boxes}: all boxes lie in 0 … 1: they were read as shares of the images' width and height",
    )


def test_crops_of_a_few_pixels_are_not_made_and_said(scenes, tmp_path):
    boxes = tmp_path / "boxes.txt"
    first, second, *rest = paths_in(scenes)
    boxes.write_text(f"{first} 10 10 17 60\n{second} 10 10 18 18\n" + "".join(f"{p} 0 0 60 60\n" for p in rest))
    found = crop(scenes, out=tmp_path / "out", boxes=boxes, workers=1)
    assert [(one.path, one.outcome) for one in found.failed] == [(first, "small")]
    assert found.failed[0].why == "the box has only 7 × 50 pixels of the image, of 120 × 80"
    assert not (tmp_path / "out" / first).exists()
    assert crop(scenes, out=tmp_path / "out", boxes=boxes, workers=1).new == 0


@pytest.mark.parametrize(
    ("header", "box", "meant"),
    [("path x y w h", "70 40 110 75", "path x0 y0 x1 y1"), ("path x0 y0 x1 y1", "70 40 40 35", "path x y w h")],
)
def test_boxes_that_lie_inside_only_if_read_otherwise_are_refused(scenes, tmp_path, header, box, meant):
    boxes = tmp_path / "boxes.txt"
    boxes.write_text(f"{header}\n" + "".join(f"{path} {box}\n" for path in paths_in(scenes)))
    with pytest.raises(UsageError, match=rf"most boxes lie outside .* name the columns in its first line: `{meant}`"):
        crop(scenes, out=tmp_path / "out", boxes=boxes, workers=1)
    assert not (tmp_path / "out").exists()


def test_boxes_of_larger_images_are_a_remark(scenes, tmp_path):
    boxes = tmp_path / "boxes.txt"
    boxes.write_text("".join(f"{path} 100 60 400 300\n" for path in paths_in(scenes)))
    (said,) = crop(scenes, out=tmp_path / "out", boxes=boxes, workers=1).remarks
    assert "6 lie mostly outside of their images: were these resized since?" in said


def test_hostile_names_of_images_stand_in_the_record_as_text_and_are_found_again(tmp_path, save_face):
    names = ["=1+1.png", "-2 a.png", "+x.png", "'=y.png", "tab\t.png", "new\nline.png", "\x1b[31m.png", "b\udcff.png"]
    for k, name in enumerate(names):
        save_face(tmp_path / "in" / name, 1, k)
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("path,x0,y0,x1,y1\n=1+1.png,-0.5,0,30,30\n")
    first = crop(tmp_path / "in", out=tmp_path / "out", boxes=boxes, workers=1)
    text = (tmp_path / "out" / "crops.csv").read_bytes().decode("utf-8")
    assert {row[:1] for row in text.splitlines()[1:]} <= {"'", "t", "n", "\\", "b"}
    assert len(text.splitlines()) == 1 + len(names)
    assert ",-0.5,0,30,30," in text
    again = crop(tmp_path / "in", out=tmp_path / "out", boxes=boxes, workers=1)
    assert (again.new, again.crops) == (0, first.crops)


def test_a_record_of_an_older_version_is_gone_on_with(scenes, tmp_path, looks):
    crop(scenes, out=tmp_path / "out", **FAKE)
    record = tmp_path / "out" / "crops.csv"
    odd = scenes / "=old\udcff.png"
    odd.write_bytes((scenes / paths_in(scenes)[0]).read_bytes())
    line = f"=old\udcff.png,{odd.stat().st_size},no-face,0,,,,,,fake finds no face\n"
    with record.open("a", encoding="utf-8", errors="surrogateescape") as file:
        file.write(line)
    seen = looks.seen
    assert crop(scenes, out=tmp_path / "out", **FAKE).new == 0
    assert looks.seen == seen


def test_hostile_paths_in_a_list_write_nothing(scenes, tmp_path):
    boxes = tmp_path / "boxes.txt"
    for hostile in ("../scenes/a.png", "/etc/a.png", "train/../../a.png"):
        boxes.write_text(f"{paths_in(scenes)[0]} 0 0 9 9\n{hostile} 0 0 9 9\n")
        with pytest.raises(UsageError, match=r"boxes.txt:2: .* does not lie below the root"):
            crop(scenes, out=tmp_path / "out", boxes=boxes, workers=0)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--margin", "-1"], "--margin -1.0: choose a share"),
        (["--margin", "nan"], "--margin 'nan': give a number"),
        (["--face", "prettiest"], "--face 'prettiest': choose largest, central or all"),
        (["--detector", "eyes"], "--detector 'eyes': choose dlib-hog"),
        (["--detector", "dlib-hog", "--boxes", "x"], "--boxes and --detector: choose one of them"),
        (["--boxes", "nowhere.txt"], "nowhere.txt: the list file is missing"),
    ],
)
def test_a_mistake_is_one_clear_line(scenes, tmp_path, options, said):
    result = CliRunner().invoke(app, ["crop", str(scenes), "--out", str(tmp_path / "out"), *options])
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert not (tmp_path / "out").exists()


def test_without_dlib_the_command_says_how_to_get_it(scenes, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "dlib", None)
    detector.cache_clear()
    with pytest.raises(UsageError, match=r"run `pip install 'expclip\[crop\]'`, or give boxes FILE") as told:
        crop(scenes, out=tmp_path / "out")
    assert told.value.as_typed.endswith("or give --boxes FILE")


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_killed_and_begun_again_it_goes_on_and_ends_as_if_never_killed(tmp_path):
    scenes, names = tmp_path / "scenes", [f"{k:03d} a.png" for k in range(250)]
    scenes.mkdir()
    for k, name in enumerate(names):
        noise = np.random.default_rng(k).integers(0, 256, (120, 160, 3), dtype=np.uint8)
        Image.fromarray(noise).save(scenes / name, compress_level=0)
    boxes, out = tmp_path / "boxes.txt", tmp_path / "out"
    boxes.write_text("".join(f"{name} 5 5 150 110\n" for name in names))
    command = [sys.executable, "-m", "expclip", "crop", str(scenes), "--boxes", str(boxes), "--json"]
    command += ["--workers", "1", "--out", str(out)]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    while not (out / "crops.csv").exists() or (out / "crops.csv").read_bytes().count(b"\n") < 20:
        assert process.poll() is None, process.communicate()
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL

    finished = [name for name in rows_of(out) if (out / name).is_file()]
    assert 15 < len(finished) < 250
    before = {name: (out / name).stat().st_mtime_ns for name in finished}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    document = json.loads(done.stdout)
    assert document["cropped"] == 250
    assert 250 - len(finished) <= document["new"] <= 250 - len(finished) + 1  # of a line cut short there is none
    assert sum((out / name).stat().st_mtime_ns != before[name] for name in finished) <= 1
    assert sorted(rows_of(out)) == names
    for name in names:
        np.testing.assert_array_equal(pixels(out / name), pixels(scenes / name)[5:110, 5:150])
