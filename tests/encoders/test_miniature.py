"""The miniature models: made offline and silently, in the formats of the real ones, the same every time."""

import hashlib
from pathlib import Path

import numpy as np
from expclip.encoders.miniature import ensure_miniature
from expclip.encoders.models import Models


def contents(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_it_is_made_silently_and_always_the_same(tmp_path, miniature, capfd):
    made = ensure_miniature(tmp_path)
    assert capfd.readouterr() == ("", "")
    assert contents(made) == contents(miniature / made.name)


def test_it_has_the_files_of_the_real_models(miniature):
    names = {Path(name).parts[1:] for name in contents(miniature)}
    assert {("clip", "open_clip_config.json"), ("clip", "open_clip_model.safetensors")} <= names
    assert {("teacher", "config.json"), ("teacher", "tokenizer.json")} <= names
    assert ("teacher", "model.safetensors.index.json") in names
    assert sum(size.stat().st_size for size in miniature.rglob("*") if size.is_file()) < 5e6


def test_one_that_is_there_is_left_alone(miniature):
    before = {path: path.stat().st_mtime_ns for path in miniature.rglob("*")}
    ensure_miniature(miniature)
    assert {path: path.stat().st_mtime_ns for path in miniature.rglob("*")} == before


def test_different_pictures_and_texts_have_clearly_different_features(miniature, pixels):
    found = Models(miniature, asked_device="cpu")
    llm = found.llm("miniature", "related-1")
    e_q = llm.parent.load("cpu")(pixels)
    features = [found.clip_image("miniature").load("cpu")(pixels), e_q, llm.load("cpu")(e_q)]
    features.append(found.clip_text("miniature").load("cpu")(["a happy face", "a sad face"]))
    for values in features:
        assert np.linalg.norm(values[0] - values[1]) > 0.05 * np.linalg.norm(values[0])
    assert llm.untrained and found.clip_image("miniature").untrained
