"""What comes through the decoding processes is, bit for bit, what Pillow gives."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from expclip.pipeline.apart import Crew
from expclip.pipeline.decode_file import decode_file
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

SIZE = 32


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    with Crew(decode_file, 1) as crew:
        yield crew


def drawn(seed: int, width: int, height: int, mode: str) -> Image.Image:
    """A smooth picture with some noise, so that quality, subsampling and palettes matter."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (4, 4, 4), dtype=np.uint8), "RGBA")
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    noisy = np.clip(smooth + random.integers(-20, 21, smooth.shape), 0, 255).astype(np.uint8)
    picture = Image.fromarray(noisy, "RGBA")
    if mode == "CMYK":
        return Image.frombytes("CMYK", picture.size, noisy.tobytes())
    return picture if mode == "RGBA" else picture.convert("RGB").convert(mode)


JPEGS = st.fixed_dictionaries(
    {
        "format": st.just("JPEG"),
        "quality": st.integers(1, 100),
        "subsampling": st.sampled_from([0, 1, 2]),
        "progressive": st.booleans(),
        "optimize": st.booleans(),
    }
)
PNGS = st.fixed_dictionaries({"format": st.just("PNG"), "compress_level": st.integers(0, 9)})
WEBPS = st.fixed_dictionaries({"format": st.just("WEBP"), "lossless": st.booleans(), "quality": st.integers(1, 100)})
BMPS = st.fixed_dictionaries({"format": st.just("BMP")})
MODES = {"JPEG": ("RGB", "L", "CMYK"), "PNG": ("RGB", "RGBA", "L", "LA", "P", "1"), "WEBP": ("RGB", "RGBA")}


@settings(max_examples=150, deadline=None)
@given(
    how=st.one_of(JPEGS, PNGS, WEBPS, BMPS),
    kind=st.integers(0, 5),
    seed=st.integers(0, 99),
    width=st.integers(1, 97),
    height=st.integers(1, 97),
)
def test_random_files_have_pillows_pixels(crew, how, kind, seed, width, height):
    modes = MODES.get(how["format"], ("RGB", "L"))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"picture.{how['format'].lower()}"
        drawn(seed, width, height, modes[kind % len(modes)]).save(file, **how)
        with Image.open(file) as opened:
            expected = np.asarray(opened.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR))
        (decoded,) = crew.submit([(file, {0: 0}, [SIZE], False, 10**6, False)]).result()
    np.testing.assert_array_equal(decoded.by_row[0][SIZE], expected)
