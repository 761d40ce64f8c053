"""A contact sheet of the renderer, for people to look at."""

import numpy as np
from PIL import Image, ImageDraw

from .action_units import CLASSES
from .drawing import draw_face
from .sampling import Face, sample_clip, sample_face

_CAPTION_WIDTH = 72


def contact_sheet(seed: int = 0, columns: int = 10, clips: int = 3, size: int = 96) -> Image.Image:
    """Draw one row of samples per class and, below, `clips` rows of equally spaced frames of clips.

    `columns` is the number of samples or frames in a row (at least 2), `size` their width in pixels.
    Returns an RGB image with the name of its class before every row. Raises ValueError for fewer than
    two columns, or what `sample_face` and `draw_face` reject.
    """
    if columns < 2:
        raise ValueError(f"columns must be at least 2, got {columns}")
    rows: list[tuple[str, list[Face]]] = []
    for label, name in enumerate(CLASSES):
        indices = range(label, columns * len(CLASSES), len(CLASSES))
        rows.append((name, [sample_face(seed, index, label) for index in indices]))
    for number in range(clips):
        label = number * 3 % len(CLASSES)
        rows.append((CLASSES[label], sample_clip(seed, number, label, columns)))
    sheet = Image.new("RGB", (_CAPTION_WIDTH + columns * size, len(rows) * size), "white")
    ink = ImageDraw.Draw(sheet)
    for row, (name, faces) in enumerate(rows):
        ink.text((6, row * size + size // 2 - 6), name, fill="black")
        pictures = [draw_face(face.action_units, face.appearance, face.view, size) for face in faces]
        sheet.paste(Image.fromarray(np.concatenate(pictures, axis=1)), (_CAPTION_WIDTH, row * size))
    return sheet
