"""Memory does not grow with the number of images, and what is decoded ahead is bounded."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

_RUN = """
import sys
import expclip
from expclip.pipeline.machine import peak_memory
expclip.extract(sys.argv[1], clip="miniature", cache=sys.argv[2], device="cpu", workers=1)
print(peak_memory())
"""


def peak(folder: Path, cache: Path) -> int:
    ran = subprocess.run([sys.executable, "-c", _RUN, folder, cache], capture_output=True, text=True, check=True)
    return int(ran.stdout)


@pytest.fixture
def many(tmp_path):
    """Folders of many names of one file."""

    def made(count: int) -> Path:
        folder = tmp_path / str(count)
        folder.mkdir()
        picture = tmp_path / "picture.jpg"
        Image.new("RGB", (64, 64), "teal").save(picture)
        for number in range(count):
            (folder / f"{number:05d}.jpg").symlink_to(picture)
        return folder

    return made


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links")
def test_ten_times_as_many_images_take_no_more_memory(many, tmp_path):
    few, most = (peak(many(count), tmp_path / f"cache{count}") for count in (1_000, 10_000))
    assert most < few + 24e6, "9,000 names and their features take some 10 MB"
