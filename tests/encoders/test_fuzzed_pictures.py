"""Whatever is in a file that is called a picture: it is read, or one line says why not."""

import io

import numpy as np
import pytest
from expclip.encoders.images import ImageError
from expclip.encoders.pictures import read_pictures
from expclip.manifests.animations import count_pictures
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features

LIMIT = 100_000


def made() -> dict[str, bytes]:
    """Small pictures of each format."""
    noise = np.random.default_rng(0).integers(0, 256, (20, 17, 3), dtype=np.uint8)
    image, other = Image.fromarray(noise), Image.fromarray(noise[::-1].copy())
    moving = {"save_all": True}
    forms = {
        "jpeg": ("JPEG", {}),
        "progressive": ("JPEG", {"progressive": True}),
        "restarts": ("JPEG", {"restart_marker_blocks": 1}),
        "mpo": ("MPO", moving),
        "png": ("PNG", {}),
        "apng": ("PNG", moving),
        "gif": ("GIF", moving),
        "webp": ("WEBP", moving),
        "tiff": ("TIFF", {}),
        "packed tiff": ("TIFF", {"compression": "tiff_lzw", **moving}),
        "bmp": ("BMP", {}),
        "ppm": ("PPM", {}),
        "jpeg 2000": ("JPEG2000", {}),
    } | ({"avif": ("AVIF", {})} if features.check("avif") else {})
    found = {}
    for name, (form, options) in forms.items():
        file = io.BytesIO()
        more = {"append_images": [other.copy()]} if "save_all" in options else {}
        image.copy().save(file, form, **options, **more)
        found[name] = file.getvalue()
    return found


PICTURES = made()


@st.composite
def damaged(draw) -> bytes:
    """A picture some of whose bytes are others, missing or doubled."""
    content = bytearray(PICTURES[draw(st.sampled_from(list(PICTURES)))])
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, min(len(content) - 1, draw(st.sampled_from([40, 200, 10_000]))))))
        some = draw(st.binary(min_size=1, max_size=4))
        what = draw(st.sampled_from(["change", "cut", "insert", "double"]))
        if what == "change":
            content[at : at + len(some)] = some
        elif what == "cut":
            del content[at : at + draw(st.sampled_from([1, 10, 10_000]))]
        else:
            content[at:at] = some if what == "insert" else content[at : at + 50]
    return bytes(content)


@given(damaged(), st.booleans())
@settings(max_examples=400, deadline=None)
def test_damaged_pictures_are_read_within_the_limit_or_fail_with_a_line(tmp_path_factory, content, is_clip):
    path = tmp_path_factory.mktemp("fuzz") / "picture.png"
    path.write_bytes(content)
    assert 0 <= count_pictures(path) < 100
    for _, picture in read_pictures(path, [0, 1], True, LIMIT, is_clip):
        if isinstance(picture, ImageError):
            assert "\n" not in str(picture)
            assert len(str(picture)) < 500
        else:
            assert picture.mode == "RGB"
            assert picture.width * picture.height <= LIMIT


@pytest.mark.parametrize("name", PICTURES)
def test_sound_pictures_are_read(tmp_path, name):
    (tmp_path / "picture").write_bytes(PICTURES[name])
    ((_, picture),) = read_pictures(tmp_path / "picture", [0])
    assert picture.size == (17, 20)
