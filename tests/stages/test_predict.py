"""`expclip predict`: its labels are those of `evaluate`, its probabilities hold, and odd input has its row."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import expclip
import numpy as np
import pyarrow.parquet as pq
import pytest
from expclip.cli import app
from expclip.errors import UsageError
from expclip.heads.recipe import LOGIT_SCALE
from expclip.manifests.classes import CLASSES
from expclip.reports.predicted import Predicted
from expclip.scoring.probabilities import fitted_temperature, softmax, together
from expclip.scoring.reliability import reliability
from hypothesis import given, settings
from hypothesis import strategies as st
from lab import Lab
from PIL import Image
from typer.testing import CliRunner
from videos import make

PLAIN = {"clip": "miniature", "head": "none"}


@pytest.fixture
def fitted(lab: Lab, photos) -> list:
    """Heads of one recipe, with two seeds."""
    lab.extract(photos, clip="miniature", teacher="miniature", features=("clip_image", "llm"))
    return lab.fit_head(train=photos, clip="miniature", teacher="miniature", epochs=1, batch_size=16, seed=(1, 2))


def evaluated(lab: Lab, data, tmp_path: Path, **how):
    """(predicted class names, cosines) of each sample by `evaluate`, from its files."""
    lab.evaluate(data, clip="miniature", out=tmp_path / "results", intervals=False, **how)
    (file,) = (tmp_path / "results" / "predictions").iterdir()
    table = pq.read_table(file).to_pydict()
    cosines = np.array([table[f"cosine_{name}"] for name in CLASSES[:7]], dtype=np.float64).T
    return table["predicted"], cosines, [f"{Path(data) / sample}" for sample in table["sample"]]


def shares(answer: Predicted) -> np.ndarray:
    return np.array([row.probabilities for row in answer.rows])


def names(answer: Predicted) -> list[str]:
    return [str(Path(row.path).resolve()) for row in answer.rows]


def test_labels_are_those_of_evaluate_and_probabilities_a_softmax_of_its_cosines(lab: Lab, labelled, tmp_path):
    predicted, cosines, paths = evaluated(lab, labelled, tmp_path, head="none", prompts="P-3")
    answer = lab.predict(labelled, **PLAIN)
    assert answer.classes == CLASSES[:7]
    assert [row.label for row in answer.rows] == predicted
    assert names(answer) == paths
    np.testing.assert_allclose(shares(answer), softmax(LOGIT_SCALE * cosines), atol=0.02)  # cosines are float16 there
    assert answer.recipe.said == "miniature · plain CLIP · P-3 · probabilities are not calibrated"


def test_the_same_with_a_head(lab: Lab, fitted, labelled, tmp_path):
    predicted, _, _ = evaluated(lab, labelled, tmp_path, head=fitted[0].card.id, prompts="P-2")
    answer = lab.predict(labelled, clip="miniature", head=fitted[0].card.id, prompts="P-2")
    assert [row.label for row in answer.rows] == predicted
    assert answer.recipe.head_ids == (fitted[0].card.id,)


def test_the_seeds_of_the_only_recipe_are_averaged(lab: Lab, fitted, labelled):
    answer = lab.predict(labelled, clip="miniature")
    assert set(answer.recipe.head_ids) == {one.card.id for one in fitted}
    each = [shares(lab.predict(labelled, clip="miniature", head=one.card.id)) for one in fitted]
    np.testing.assert_allclose(shares(answer), np.mean(each, axis=0), atol=1e-12)
    assert "2 seeds together" in answer.recipe.said


def test_without_heads_it_is_plain_clip(lab: Lab, photos):
    assert lab.predict(photos, clip="miniature").recipe.head == "plain CLIP"


def test_heads_of_several_recipes_are_listed(lab: Lab, fitted, photos):
    (other,) = lab.fit_head(train=photos, clip="miniature", teacher="miniature", epochs=2, batch_size=16, seed=1)
    with pytest.raises(UsageError) as error:
        lab.predict(photos, clip="miniature")
    said = error.value.as_typed
    assert said.startswith("heads of 2 recipes fit: choose one of them, or --head none: ")
    assert all(f"--head {one.card.id}" in said for one in (*fitted, other))


def test_a_head_of_another_backbone_is_one_line(lab: Lab, fitted, photos, tiny_models):
    with pytest.raises(UsageError, match="was trained on miniature features"):
        lab.predict(photos, clip=f"local-dir:{tiny_models / 'clip'}", head=fitted[0].card.id)


def test_files_one_by_one_are_kept_nowhere_and_have_the_labels_of_their_folder(lab: Lab, photos):
    files = sorted(photos.iterdir())
    answer = lab.predict(files[::-1], **PLAIN)
    assert not list(lab.cache.datasets()) or lab.cache.datasets() == ["text"]
    kept = lab.predict(photos, **PLAIN)
    assert names(answer) == [str(file) for file in files[::-1]]
    np.testing.assert_allclose(shares(answer)[::-1], shares(kept), atol=1e-6)
    assert "photos" in lab.cache.datasets()


def test_pictures_in_memory_have_the_labels_of_their_files(lab: Lab, photos):
    files = sorted(photos.iterdir())[:4]
    opened = [Image.open(file).convert("RGB") for file in files]
    mixed = [opened[0], np.asarray(opened[1]), files[2], opened[3]]
    answer = lab.predict(mixed, **PLAIN)
    np.testing.assert_allclose(shares(answer), shares(lab.predict(files, **PLAIN)), atol=1e-9)
    assert [row.path for row in answer.rows][::3] == ["image 1", "image 4"]
    alone = lab.predict(np.asarray(opened[1]), **PLAIN)
    assert alone.rows[0].label == answer.rows[1].label
    assert "photos" not in lab.cache.datasets()


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4, 3)), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4, 3), np.uint8), 7]
)
def test_what_is_no_picture_is_one_line(lab: Lab, image):
    with pytest.raises(UsageError, match="image 1: give a path, a PIL image or an array"):
        lab.predict([image], **PLAIN)


def test_files_that_cannot_be_read_have_an_error_and_the_exit_code_is_3(lab: Lab, photos, tmp_path):
    folder = tmp_path / "some"
    folder.mkdir()
    for file in sorted(photos.iterdir())[:3]:
        shutil.copy(file, folder)
    (folder / "000a.jpg").write_bytes(b"no picture")
    typed = ["predict", str(folder), "--clip", "miniature", "--head", "none", "--device", "cpu", "--json"]
    ran = CliRunner().invoke(app, [*typed, "--cache", str(lab.cache.root)])
    assert ran.exit_code == 3
    rows = json.loads(ran.stdout)["rows"]
    assert [bool(row["error"]) for row in rows] == [False, True, False, False]
    assert rows[1]["label"] == "" and rows[1]["p_anger"] is None
    assert "1 of 4 rows have an error instead of a label" in ran.stderr


@pytest.mark.parametrize("make_it", [lambda path: path.mkdir(), lambda path: None])
def test_a_folder_without_pictures_or_no_folder_is_one_line(lab: Lab, tmp_path, make_it):
    make_it(tmp_path / "nothing")
    with pytest.raises(UsageError, match="nothing"):
        lab.predict(tmp_path / "nothing", **PLAIN)


def test_a_video_is_one_row_and_its_picture_a_video_and_a_curve(lab: Lab, tmp_path):
    files = [make(tmp_path / name, frames=20, seed=k) for k, name in enumerate(("a.mp4", "b.mp4"))]
    (tmp_path / "c.mp4").write_bytes(files[0].read_bytes()[:300])
    answer = lab.predict([*files, tmp_path / "c.mp4"], **PLAIN, out=tmp_path / "labels", draw=True, frames="all")
    assert [bool(row.error) for row in answer.rows] == [False, False, True]
    drawn = tmp_path / "labels" / "drawn"
    assert sorted(path.name for path in drawn.iterdir()) == ["a.mp4", "a.png", "b.mp4", "b.png"]
    import av

    with av.open(str(drawn / "a.mp4")) as written:
        frames = [frame.to_image() for frame in written.decode(video=0)]
    assert len(frames) == 20
    assert frames[0].width >= 320 and frames[0].height > frames[0].width, "below the picture is what was predicted"


def test_videos_in_a_folder_of_images_have_rows_too(lab: Lab, photos, tmp_path, capsys):
    folder = tmp_path / "holiday"
    (folder / "films").mkdir(parents=True)
    shutil.copy(sorted(photos.iterdir())[0], folder)
    make(folder / "films" / "a.mp4", frames=4)
    answer = lab.predict(folder, **PLAIN)
    assert [Path(row.path).name for row in answer.rows] == ["000.png", "a.mp4"]
    assert all(row.label for row in answer.rows)
    assert "1 video has a row of its own" in capsys.readouterr().err


@pytest.mark.parametrize("format", ["csv", "json", "parquet"])
def test_the_table_says_the_same_in_every_format(lab: Lab, labelled, tmp_path, format):
    answer = lab.predict(labelled, **PLAIN, out=tmp_path / "labels", format=format)
    file = tmp_path / "labels" / f"predictions.{format}"
    if format == "csv":
        with file.open(newline="") as opened:
            rows = list(csv.DictReader(opened))
    elif format == "json":
        rows = json.loads(file.read_text())["rows"]
    else:
        rows = pq.read_table(file).to_pylist()
    expected = ["path", "frame", "face", "x0", "y0", "x1", "y1", "label", *(f"p_{name}" for name in answer.classes)]
    assert list(rows[0]) == [*expected, "error"]
    assert [row["label"] for row in rows] == [row.label for row in answer.rows]
    found = np.array([[float(row[f"p_{name}"]) for name in answer.classes] for row in rows])
    np.testing.assert_allclose(found, shares(answer), rtol=1e-4)


def test_pictures_are_drawn_once_for_each(lab: Lab, photos, tmp_path):
    files = sorted(photos.iterdir())[:3]
    lab.predict(files, **PLAIN, out=tmp_path / "labels", draw=True)
    drawn = sorted((tmp_path / "labels" / "drawn").iterdir())
    assert [path.name for path in drawn] == [f"{file.stem}.jpg" for file in files]
    with Image.open(drawn[0]) as picture:
        assert picture.width == 320


def test_classes_of_ones_own(lab: Lab, photos, tmp_path):
    prompts = tmp_path / "yes.json"
    prompts.write_text(json.dumps({"smiling": ["a smiling face"], "grim": ["a grim face"]}))
    answer = lab.predict(photos, **PLAIN, classes=("smiling", "grim"), prompts=prompts)
    assert answer.classes == ("smiling", "grim")
    np.testing.assert_allclose(shares(answer).sum(axis=1), 1)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "fit:", "warm"])
def test_a_temperature_that_cannot_be_meant_is_one_line(lab: Lab, photos, text):
    with pytest.raises(UsageError, match="give a number above 0, or fit:DATASET"):
        lab.predict(photos, **PLAIN, temperature=text)


def test_a_data_set_without_labels_fits_no_temperature(lab: Lab, photos):
    with pytest.raises(UsageError, match="has no sample with a label"):
        lab.predict(photos, **PLAIN, temperature=f"fit:{photos}")


def calibration_error(found: np.ndarray, labels: np.ndarray) -> float:
    return reliability(found.max(axis=1), found.argmax(axis=1) == labels).error / 100


def test_calibrated_probabilities_are_nearer_to_the_truth_on_faces_that_were_held_out(lab: Lab, tmp_path):
    """The built-in faces: the temperature is fitted to those to learn from, the error measured on the others."""
    raw = lab.predict("faces-test", **PLAIN)
    calibrated = lab.predict("faces-test", **PLAIN, temperature="fit:faces-test:train")
    assert "calibrated on faces-test:train" in calibrated.recipe.said
    assert [row.label for row in raw.rows] == [row.label for row in calibrated.rows]
    labels = np.array([raw.classes.index(Path(row.path).parent.name) for row in raw.rows])
    before, after = shares(raw), shares(calibrated)
    draws = np.random.default_rng(0).integers(0, len(labels), (400, len(labels)))
    gains = [
        calibration_error(before[some], labels[some]) - calibration_error(after[some], labels[some]) for some in draws
    ]
    assert np.percentile(gains, 2.5) > 0.01
    assert calibration_error(after, labels) < 0.06


@settings(max_examples=30, deadline=None)
@given(st.floats(0.05, 20), st.integers(2, 6), st.integers(0, 99))
def test_the_temperature_that_made_labels_is_found_again(temperature, classes, seed):
    random = np.random.default_rng(seed)
    logits = random.normal(0, 3 * temperature, (1, 6000, classes))
    chances = together(logits, temperature).cumsum(axis=1)
    labels = (random.random((6000, 1)) > chances[:, :-1]).sum(axis=1)
    assert fitted_temperature(logits, labels) == pytest.approx(temperature, rel=0.15)


def test_many_images_take_no_more_memory_than_their_table(tmp_path):
    run = (
        "import sys, expclip; from expclip.pipeline.machine import peak_memory; "
        "expclip.predict(sys.argv[1], clip='miniature', head='none', cache=sys.argv[2], device='cpu', workers=1); "
        "print(peak_memory())"
    )
    picture = tmp_path / "picture.png"
    Image.new("RGB", (32, 32), "teal").save(picture)
    peaks = []
    for count in (500, 5_000):
        folder = tmp_path / str(count)
        folder.mkdir()
        for number in range(count):
            (folder / f"{number:05d}.png").symlink_to(picture)
        ran = subprocess.run(
            [sys.executable, "-c", run, folder, tmp_path / f"cache{count}"],
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(int(ran.stdout))
    assert peaks[1] < peaks[0] + 40e6


def test_the_function_has_the_options_of_the_command():
    import inspect

    parameters = inspect.signature(expclip.predict).parameters
    assert next(iter(parameters)) == "images"
    assert {"clip", "head", "prompts", "temperature", "draw", "out", "cache"} <= set(parameters)


def test_a_clip_of_frames_becomes_a_video_of_them(lab: Lab, dfew, tmp_path):
    names = sorted(path.name for path in (dfew / "Clip").iterdir())[:2]
    (dfew / "some.txt").write_text("".join(f"Clip/{name} 2 -1\n" for name in names))
    answer = lab.predict(dfew / "some.txt", **PLAIN, out=tmp_path / "labels", draw=True)
    assert len(answer.rows) == 2
    drawn = sorted(path.suffix for path in (tmp_path / "labels" / "drawn").iterdir())
    assert drawn == [".mp4", ".mp4", ".png", ".png"]
