"""A data set and prompts of the user's own: class names that no data set of the catalogue has."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr
from expclip import UsageError
from lab import Lab
from safetensors.numpy import load_file

NAMES = ("happiness", "boredom", "mild_pain")
MINIATURE = {"clip": "miniature", "teacher": "miniature"}
WORDS = {"Happy": ["a big smile", "joy"], "Mild_Pain": ["a frown"], "boredom": ["half-closed eyes"]}


@pytest.fixture
def own(labelled, tmp_path):
    """Three class folders with four faces each, and a file of prompts for them."""
    faces = sorted(labelled.rglob("*.png"))
    for index, face in enumerate(faces[:12]):
        folder = tmp_path / "own" / ("Happy", "Boredom", "mild_pain")[index % 3]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(face, folder / f"{index:02d}.png")
    (tmp_path / "mine.json").write_text(json.dumps(WORDS))
    (tmp_path / "mine too.txt").write_text("a {class} face\n")
    return tmp_path


def test_many_classes_with_signs_in_their_names_are_drawn(lab, own, tmp_path):
    faces = sorted((own / "own").rglob("*.png"))
    for index in range(13):
        folder = tmp_path / "many" / f"{index:02d} $x^{{ & %, |"
        folder.mkdir(parents=True)
        for k in (0, 1):
            shutil.copy(faces[(index + k) % 12], folder / f"{k}.png")
    scoring = {"clip": "miniature", "prompts": "P-1"}
    lab.evaluate(tmp_path / "many", **scoring, figures=True, out=tmp_path / "out")
    drawn = lab.figures(tmp_path / "many", **scoring, out=tmp_path / "figures")
    assert {path.name.partition("-")[0] for path in drawn} == {"confusion", "samples", "variance", "tsne"}
    with (tmp_path / "out" / "scores.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert len([name for name in row if name.startswith("recall_")]) == 13


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def texts_of(lab) -> dict[str, np.ndarray]:
    """All cached text embeddings (float64), read by plain zarr."""
    known = {}
    for path in (lab.cache.root / "text").glob("manifest-*.zarr"):
        manifest = zarr.open_group(path, mode="r")
        (store,) = lab.cache.find("text", "clip_text", rows_digest=manifest.attrs["rows_digest"])
        features = zarr.open_group(store.path, mode="r")["features"][:].astype(np.float64)
        known |= dict(zip(bytes(manifest["sources"][:]).decode().split("\0"), features, strict=True))
    return known


def test_own_classes_are_extracted_fitted_and_scored_with_own_prompts(lab, own):
    folder = own / "own"
    lab.extract(folder, **MINIATURE)
    (fitted,) = lab.fit_head(train=folder, **MINIATURE, seed=1, epochs=2, batch_size=4)
    asked = [own / "mine.json", own / "mine too.txt", "P-3"]
    found = lab.evaluate(folder, clip="miniature", prompts=asked, figures=True, out=own / "out")
    known = texts_of(lab)
    prompts = {
        "mine": [WORDS["Happy"], WORDS["boredom"], WORDS["Mild_Pain"]],
        "mine too": [["a happiness face"], ["a boredom face"], ["a mild pain face"]],
        "P-3": [
            [f"a photo of a face with an expression of {name}."] for name in ("happiness", "boredom", "mild pain")
        ],
    }
    (store,) = lab.cache.find("own", "clip_image")
    images = zarr.open_group(store.path, mode="r")["features"][:].astype(np.float64)
    weight = load_file(fitted.path / "head.safetensors")["weight"].astype(np.float64)
    assert {(one.of.head, one.of.prompts) for one in found.predictions} == {
        (head, name) for head in ("none", "linear") for name in prompts
    }
    for one in found.predictions:
        assert one.manifest.classes == NAMES
        W = weight.T if one.of.head == "linear" else np.eye(images.shape[1])
        expected = [
            np.mean([unit(images @ W) @ unit(known[text] @ W) for text in texts], axis=0)
            for texts in prompts[one.of.prompts]
        ]
        np.testing.assert_allclose(one.similarity, np.stack(expected, axis=1), atol=2e-6)
    with (own / "out" / "scores.csv").open(newline="") as file:
        (row, *_) = csv.DictReader(file)
    assert {name for name in row if name.startswith("recall_")} == {f"recall_{name}" for name in NAMES}
    assert {path.suffix for path in (own / "out" / "figures").iterdir()} == {".pdf", ".png"}


def test_prompts_that_do_not_know_an_own_class_are_refused_before_any_work(lab, own, work):
    with pytest.raises(UsageError, match="the prompt set P-4 has no prompt for boredom, mild_pain: give them one"):
        lab.evaluate(own / "own", clip="miniature", prompts=["P-1", "P-4"])
    assert not work


def test_what_was_written_into_the_folder_of_the_data_is_no_data(tmp_path, save_face, monkeypatch, capsys):
    """Commands that are run in the folder of the pictures write their cache, results and figures there."""
    for label, name in enumerate(("happiness", "sadness")):
        for k in range(2):
            save_face(tmp_path / "photos" / name / f"{k}.png", 3, 2 * label + k, label, size=32)
    monkeypatch.chdir(tmp_path / "photos")
    lab = Lab(tmp_path / "photos" / "expclip-cache")
    scoring = {"clip": "miniature", "prompts": "P-3", "head": "none", "intervals": False}
    lab.evaluate(".", **scoring, out=Path("expclip-results"))
    lab.figures(".", clip="miniature", prompts="P-3", head="none", kind="confusion", out=Path("drawn"))
    (store,) = lab.extract(".", clip="miniature").stores
    assert (store.dataset, store.rows, store.missing) == ("photos", 4, 0)
    found = lab.open_features(".", model="miniature")
    assert sorted(found.labels.tolist()) == [0, 0, 1, 1]
    assert "3 folders with expclip's own output were skipped" in capsys.readouterr().err
    assert len(lab.cache.entries()) == 1
