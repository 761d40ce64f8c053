"""Small pictures of samples, which go into the page."""

import base64
import io
from collections.abc import Iterator

import numpy as np
from PIL import Image

from ...manifests.manifest import Manifest
from ..sample_pictures import sample_pictures

SIDE = 72
"""Pixels on a side, at most."""
_QUALITY = 80


def thumbnails(manifest: Manifest, frames: str, samples: np.ndarray) -> Iterator[str | None]:
    """JPEGs of samples as base64, of a clip its middle frame; None for those that cannot be read."""
    for pixels in sample_pictures(manifest, frames, samples):
        yield None if pixels is None else _jpeg(pixels)


def _jpeg(pixels: np.ndarray) -> str:
    picture = Image.fromarray(pixels)
    picture.thumbnail((SIDE, SIDE))
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=_QUALITY)
    return base64.b64encode(content.getvalue()).decode()
