"""Small data sets of rendered faces, and tiny models, made once a session."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from expclip.manifests.classes import CLASSES
from expclip.manifests.faces import draw_face, sample_face
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))  # for the modules beside this one

from lab import Lab


def _save_face(path: Path, seed: int, index: int, label: int | None = None, size: int = 48) -> None:
    face = sample_face(seed, index, label)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(draw_face(face.action_units, face.appearance, face.view, size)).save(path)


@pytest.fixture(scope="session")
def save_face() -> Callable[..., None]:
    """Writes the face of (path, seed, index, label, size) to a file."""
    return _save_face


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory) -> Path:
    """A folder with an untrained `clip` and `teacher` in the formats of the real checkpoints."""
    from tiny_models import write_tiny_models

    folder = tmp_path_factory.mktemp("models") / "tiny"
    write_tiny_models(folder)
    return folder


@pytest.fixture
def lab(tmp_path) -> Lab:
    """An empty cache and the functions of the package on it."""
    return Lab(tmp_path / "cache")


@pytest.fixture(scope="session")
def photos(tmp_path_factory) -> Path:
    """A plain folder of 40 unlabelled faces."""
    folder = tmp_path_factory.mktemp("data") / "photos"
    for index in range(40):
        _save_face(folder / f"{index:03d}.png", seed=1, index=index)
    return folder


@pytest.fixture(scope="session")
def labelled(tmp_path_factory) -> Path:
    """An image folder of 42 faces: 6 of each of 7 classes."""
    folder = tmp_path_factory.mktemp("data") / "labelled"
    for index in range(42):
        _save_face(folder / CLASSES[index % 7] / f"{index:03d}.png", 2, index, index % 7)
    return folder


@pytest.fixture(scope="session")
def clips(tmp_path_factory) -> Path:
    """A list file of 7 clips of 3 to 33 frames, one a class."""
    folder = tmp_path_factory.mktemp("data") / "clips"
    lines = []
    for label in range(7):
        frames = 3 + 5 * label
        for frame in range(frames):
            _save_face(folder / f"clip {label}" / f"{frame:03d}.png", 3 + label, frame, label, size=32)
        lines.append(f"clip {label} {frames} {label}\n")
    (folder / "list.txt").write_text("".join(lines), encoding="utf-8")
    return folder / "list.txt"


@pytest.fixture(scope="session")
def pixels() -> np.ndarray:
    """(3, 64, 64, 3) uint8: three different pictures, which may not be written to."""
    made = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    made.flags.writeable = False
    return made
