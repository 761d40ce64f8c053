"""Small trees of files; readers look at names and sizes only, so that most files need no pixels."""

from collections.abc import Callable
from pathlib import Path

import pytest

Plant = Callable[..., Path]


@pytest.fixture
def plant(tmp_path) -> Plant:
    """Writes files below tmp_path: `plant("a/b.jpg", "list.txt", text="…")`; returns the last one's path."""

    def write(*names: str, text: str | bytes = b"pixels") -> Path:
        path = tmp_path
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.fixture
def plant_clip(plant) -> Callable[[str, int], None]:
    """Writes the frames of a clip, whose names are in order: `plant_clip(folder, n)`."""

    def write(folder: str, frames: int) -> None:
        plant(*(f"{folder}/{number:04d}.jpg" for number in range(frames)))

    return write
