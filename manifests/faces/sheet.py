"""A contact sheet of drawn faces, for visual inspection."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .action_units import CLASSES
from .sampling import Face, sample_clip, sample_face

_CAPTION_SHARE = 0.19
"""Font size of the captions, in heights of a face."""


def contact_sheet(
    seed: int = 0, columns: int = 10, clips: Sequence[str] = ("fear", "surprise", "contempt"), size: int = 96
) -> Image.Image:
    """Draw one row of samples per class and, below, a row of equally spaced frames per clip.

    `columns` is the number of samples or frames per row (at least 2), `clips` names the classes of the clips, `size`
    is the width of a face in pixels. Returns an RGB image with a caption before every row. Raises ValueError for
    fewer than two columns, an unknown class, or what `sample_face` and `draw_face` reject.
    """
    if columns < 2:
        raise ValueError(f"columns must be at least 2, got {columns}")
    rows = _class_rows(seed, columns) + _clip_rows(seed, columns, clips)
    font = ImageFont.load_default(_CAPTION_SHARE * size)
    margin = size // 12
    left = 2 * margin + round(max(font.getlength(caption) for caption, _ in rows))
    sheet = Image.new("RGB", (left + columns * size, len(rows) * size), "white")
    ink = ImageDraw.Draw(sheet)
    for row, (caption, faces) in enumerate(rows):
        ink.text((margin, (row + 0.5) * size), caption, fill="black", font=font, anchor="lm")
        pictures = [face.draw(size) for face in faces]
        sheet.paste(Image.fromarray(np.concatenate(pictures, axis=1)), (left, row * size))
    return sheet


def _class_rows(seed: int, columns: int) -> list[tuple[str, list[Face]]]:
    count = len(CLASSES)
    return [
        (name, [sample_face(seed, index, label) for index in range(label, columns * count, count)])
        for label, name in enumerate(CLASSES)
    ]


def _clip_rows(seed: int, columns: int, clips: Sequence[str]) -> list[tuple[str, list[Face]]]:
    unknown = sorted(set(clips) - set(CLASSES))
    if unknown:
        raise ValueError(f"unknown class {unknown[0]!r}; known: {', '.join(CLASSES)}")
    return [
        (f"clip: {name}", sample_clip(seed, number, CLASSES.index(name), columns))
        for number, name in enumerate(clips)
    ]
