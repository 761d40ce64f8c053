"""The real face detector, on faces whose place is known."""

import numpy as np
import pytest
from expclip.encoders.detectors import DEFAULT_DETECTOR, detector
from expclip.manifests.faces import draw_face, sample_face
from PIL import Image

pytest.importorskip("dlib", reason="dlib-bin is an extra: pip install 'expclip[crop]'")


def scene(*corners: tuple[int, int], side: int = 160) -> Image.Image:
    """A grey picture with a drawn face at each (x, y)."""
    pixels = np.full((400, 640, 3), 120, dtype=np.uint8)
    for k, (x, y) in enumerate(corners):
        face = sample_face(1, k)
        pixels[y : y + side, x : x + side] = draw_face(face.action_units, face.appearance, face.view, side)
    return Image.fromarray(pixels)


def test_dlib_finds_each_drawn_face_where_it_is_and_nothing_where_there_is_none():
    detect = detector(DEFAULT_DETECTOR)
    assert detect(scene()) == []
    corners = [(30, 40), (420, 200)]
    faces = sorted(detect(scene(*corners)), key=lambda face: face.x0)
    assert len(faces) == 2
    for (x, y), face in zip(corners, faces, strict=True):
        middle = ((face.x0 + face.x1) / 2 - x, (face.y0 + face.y1) / 2 - y)
        assert all(40 < one < 120 for one in middle)
        assert 80 < face.x1 - face.x0 <= 160
        assert face.score is not None and face.score > 0
