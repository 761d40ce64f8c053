"""Draw one face and take its picture."""

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from . import head, lower_face, upper_face
from .action_units import Intensities, complete
from .appearance import Appearance, View
from .scene import Scene, build_scene

_SUPERSAMPLING = 3


def draw_face(
    action_units: Intensities, appearance: Appearance, view: View, size: int = 96, *, one_sided: float = 0.0
) -> np.ndarray:
    """Draw a face with the given action units.

    `action_units` maps FACS numbers to intensities in 0..1; units left out are at rest. `one_sided` in -1..1 says on
    which half of the mouth AU12 and AU14 act: 0 on both alike, 1 only on the right of the picture, -1 only on the
    left. Returns an RGB picture (size, size, 3) uint8. Raises ValueError for an unknown action unit, an intensity
    outside 0..1, a one-sidedness outside -1..1 or a size below 16. Source: FACS, Ekman, Friesen & Hager 2002.
    """
    if not -1.0 <= one_sided <= 1.0:
        raise ValueError(f"one_sided must lie in -1..1, got {one_sided}")
    if size < 16:
        raise ValueError(f"size must be at least 16 pixels, got {size}")
    width = size * _SUPERSAMPLING
    picture = Image.new("RGB", (width, width), appearance.backdrop)
    ink = ImageDraw.Draw(picture)
    scene = build_scene(complete(action_units), one_sided, appearance, view, ink, width)
    _draw_parts(scene, (view.gaze_x, view.gaze_y), width)
    picture = picture.reduce(_SUPERSAMPLING)
    if view.blur > 0.0:
        picture = picture.filter(ImageFilter.GaussianBlur(view.blur * size / 96))
    if view.greyscale:
        picture = picture.convert("L").convert("RGB")
    return _expose(picture, view)


def _draw_parts(scene: Scene, gaze: tuple[float, float], width: int) -> None:
    mouth = lower_face.shape_mouth(scene)
    head.draw_backdrop(scene, width)
    head.draw_back_hair(scene)
    head.draw_shoulders(scene)
    head.draw_skull(scene)
    head.draw_beard(scene)
    lower_face.draw_cheeks(scene, mouth)
    upper_face.draw_forehead(scene)
    head.draw_front_hair(scene)
    head.draw_hat(scene)
    upper_face.draw_eyes(scene, gaze)
    upper_face.draw_brows(scene)
    lower_face.draw_nose(scene)
    lower_face.draw_chin(scene, mouth)
    lower_face.draw_mouth_creases(scene, mouth)
    lower_face.draw_mouth(scene, mouth)
    upper_face.draw_glasses(scene)


def _expose(picture: Image.Image, view: View) -> np.ndarray:
    size = picture.width
    ramp = _ramp(size)
    light = view.gain * (1.0 + view.light_x * ramp[None, :] + view.light_y * ramp[:, None])
    grain = np.random.default_rng(view.noise_seed).standard_normal((size, size), dtype=np.float32)
    grain *= view.noise
    exposed = np.array(picture, dtype=np.float32)
    for channel in range(3):
        exposed[..., channel] *= light
        exposed[..., channel] += grain
    np.clip(exposed, 0.0, 255.0, out=exposed)
    return exposed.astype(np.uint8)


@lru_cache(maxsize=8)
def _ramp(size: int) -> np.ndarray:
    return np.linspace(-1.0, 1.0, size, dtype=np.float32)
