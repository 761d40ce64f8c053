"""Everything behind and around the features: backdrop, shoulders, skull, ears, hair, beard and hat."""

import numpy as np

from .canvas import closed_curve, open_curve, symmetric
from .colours import mix
from .scene import Scene


def draw_backdrop(scene: Scene, width: int) -> None:
    """Fill the background of the picture, which does not depend on the face."""
    appearance = scene.appearance
    if appearance.background == "wall":
        darker = mix(appearance.backdrop, (0, 0, 0), 0.18)
        scene.head.ink.rectangle((0, int(width * 0.62), width, width), fill=darker)
    elif appearance.background == "panel":
        lighter = mix(appearance.backdrop, (255, 255, 255), 0.35)
        scene.head.ink.rectangle((int(width * 0.55), 0, width, width), fill=lighter)


def draw_back_hair(scene: Scene) -> None:
    """Draw the hair that hangs or stands behind the head."""
    style, width = scene.appearance.hair_style, scene.face_width
    if style in ("long", "fringe"):
        edge = width + 0.16
        mane = [(0.0, -1.05), (0.62, -0.9), (edge, -0.35), (edge, 0.5), (0.8, 1.15), (0.4, 1.3)]
        scene.head.polygon(closed_curve(symmetric(mane)), scene.palette.hair_shade)
    elif style == "curly":
        for angle in np.linspace(-0.15 * np.pi, 1.15 * np.pi, 11):
            centre = ((width + 0.02) * np.cos(angle), -0.22 - 0.68 * np.sin(angle))
            scene.head.ellipse(centre, (0.22, 0.22), scene.palette.hair_shade)


def draw_shoulders(scene: Scene) -> None:
    """Draw neck and shirt; they do not follow the jaw."""
    scene.head.polygon([(-0.38, 0.6), (0.38, 0.6), (0.42, 1.6), (-0.42, 1.6)], scene.palette.shade)
    shirt = [(-1.6, 1.9), (-1.3, 1.22), (-0.45, 1.1), (0, 1.3), (0.45, 1.1), (1.3, 1.22), (1.6, 1.9)]
    scene.head.polygon(shirt, scene.appearance.shirt)


def draw_skull(scene: Scene) -> None:
    """Draw ears and the bare head; the chin follows the jaw (AU26, AU27)."""
    palette, width = scene.palette, scene.face_width
    sides = scene.head.with_mirror_image()
    sides.ellipse((width + 0.02, 0.1), (0.1, 0.17), palette.skin)
    sides.ellipse((width + 0.03, 0.1), (0.05, 0.1), palette.shade)
    if scene.appearance.earrings:
        sides.ellipse((width + 0.04, 0.31), (0.045, 0.06), (240, 204, 84))
    scene.head.polygon(closed_curve(_outline(scene)), palette.skin)
    if scene.appearance.freckles:
        for x, y in ((0.26, 0.23), (0.35, 0.29), (0.44, 0.24), (0.32, 0.18)):
            scene.face_sides.dot((x, y), 0.014, palette.shade)


def draw_beard(scene: Scene) -> None:
    """Draw facial hair, which moves with the jaw; the moustache moves with the upper lip."""
    beard, chin = scene.appearance.beard, scene.chin
    if beard == "none":
        return
    colour = scene.palette.hair
    if beard in ("stubble", "full"):
        tone = colour if beard == "full" else mix(scene.palette.skin, scene.palette.brow, 0.2)
        outer = [point for point in _outline(scene) if point[1] > 0.1]
        inner = [(-0.6, 0.2), (-0.5, 0.47), (-0.3, 0.5), (0.0, 0.45), (0.3, 0.5), (0.5, 0.47), (0.6, 0.2)]
        scene.head.polygon(np.concatenate([open_curve(outer), open_curve(inner)]), tone)
    elif beard == "goatee":
        top = 0.8 + 0.8 * scene.jaw_drop
        patch = [(0.0, top), (0.17, top + 0.04), (0.14, chin - 0.02), (0.0, chin + 0.03)]
        scene.face.polygon(closed_curve(symmetric(patch)), colour)
    if beard in ("moustache", "full"):
        lift = 0.05 * scene.au[9] + 0.05 * scene.au[10]
        wing = [(0.0, 0.45), (0.12, 0.43), (0.27, 0.52), (0.33, 0.64), (0.17, 0.57), (0.0, 0.55)]
        scene.face_sides.polygon(closed_curve(np.subtract(wing, (0.0, lift))), colour)


def draw_front_hair(scene: Scene) -> None:
    """Draw the hair around the forehead; no style hides raised brows."""
    style, palette = scene.appearance.hair_style, scene.palette
    if style == "bald":
        return
    hairline = -0.62 + 0.035 * scene.geometry.hairline
    if style == "curly":
        scene.head.polygon(closed_curve(_cap(scene, _HAIRLINES["curly"], hairline)), palette.hair)
        for x in np.linspace(-0.56, 0.56, 6):
            scene.head.ellipse((x, hairline - 0.06 + 0.3 * x * x), (0.14, 0.12), palette.hair)
        return
    colour = mix(palette.skin, palette.hair, 0.7) if style == "buzz" else palette.hair
    scene.head.polygon(closed_curve(_cap(scene, _HAIRLINES[style], hairline)), colour)
    if style in ("long", "fringe"):
        width = scene.face_width
        strand = [(0.5, -0.66), (width, -0.5), (width + 0.14, 0.0), (width + 0.13, 0.8), (width, 0.85)]
        strand += [(width - 0.03, 0.2), (width - 0.07, -0.25)]
        scene.head.with_mirror_image().polygon(closed_curve(strand), palette.hair)


def draw_hat(scene: Scene) -> None:
    """Draw a hat that leaves the brows free."""
    hat, width = scene.appearance.hat, scene.face_width
    if hat == "none":
        return
    felt = mix(scene.appearance.shirt, (20, 20, 30), 0.15)
    band = mix(felt, (20, 16, 20), 0.4)
    crown = symmetric([(0, -1.25), (0.55, -1.15), (width + 0.1, -0.75), (width + 0.04, -0.52), (0.4, -0.58)])
    scene.head.polygon(closed_curve(crown), felt)
    if hat == "brim":
        brim = symmetric([(0, -0.68), (0.6, -0.68), (1.0, -0.6), (0.6, -0.55), (0, -0.55)])
        scene.head.polygon(closed_curve(brim), band)
    else:
        edge = width + 0.06
        cuff = [(0.0, -0.74), (0.5, -0.72), (edge, -0.62), (edge, -0.45), (0.5, -0.55), (0.0, -0.57)]
        scene.head.polygon(closed_curve(symmetric(cuff)), band)


# Heights above the hairline from the left temple to the right one.
_HAIRLINES: dict[str, tuple[float, ...]] = {
    "short": (0.2, 0.05, -0.02, 0.0, -0.02, 0.05, 0.2),
    "buzz": (0.17, 0.02, 0.02, 0.01, 0.02, 0.02, 0.17),
    "parted": (0.25, 0.15, 0.09, 0.03, -0.06, 0.0, 0.2),
    "fringe": (0.27, 0.14, 0.12, 0.13, 0.12, 0.14, 0.27),
    "long": (0.25, 0.14, 0.04, -0.1, 0.04, 0.14, 0.25),
    "curly": (0.2, 0.02, -0.04, -0.04, -0.04, 0.02, 0.2),
}


def _cap(scene: Scene, heights: tuple[float, ...], hairline: float) -> list[tuple[float, float]]:
    width = scene.face_width + 0.035
    right = [(0.42, -0.97), (0.68, -0.7), (width, -0.3), (width - 0.01, 0.02), (width - 0.07, -0.04)]
    columns = np.linspace(width - 0.14, 0.14 - width, len(heights)).tolist()
    edge = [(x, hairline + height) for x, height in zip(columns, reversed(heights), strict=True)]
    return [(0.0, -1.05), *right, *edge, *((-x, y) for x, y in reversed(right))]


def _outline(scene: Scene) -> list[tuple[float, float]]:
    width, chin, drop = scene.face_width, scene.chin, scene.jaw_drop
    jaw = width * (0.8 + 0.08 * scene.geometry.jaw_width)
    upper = [(0.0, -0.98), (0.44, -0.86), (width - 0.06, -0.48), (width, -0.05), (width * 0.97, 0.3)]
    lower = [(jaw, 0.62 + 0.4 * drop), (jaw * 0.68, chin - 0.16), (0.22, chin - 0.02), (0.0, chin + 0.01)]
    return symmetric([*upper, *lower])
