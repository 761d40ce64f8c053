"""Pictures and videos with what was predicted drawn on them, in the process that decodes them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..encoders.picture_errors import ImageError
from ..encoders.pictures import read_pictures
from ..manifests.videos import LargeVideoError, VideoError, decoded, open_video, pyav
from .legibility import legible

_LONGEST = 1280
"""Pixels of a drawn picture's longer side; larger ones are made smaller."""
_NARROWEST = 320
"""Pixels of a drawn picture's width; what is smaller is made larger, so that words can be read."""
_SHOWN = 3
"""Classes that are named, the likeliest first."""
_RATE = 25
"""Frames a second where no file says it."""
_PAPER, _INK, _BAR, _FRAME = "#ffffff", "#1b2a41", "#00798c", "#edae49"

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Mark:
    """What was predicted of a picture, or of a face in it."""

    classes: tuple[str, ...]
    shares: tuple[float, ...]
    box: Box | None = None
    """In pixels of the picture as it is in its file."""
    number: int | None = None
    """Of the face."""


def annotate_picture(source: Path, frame: int, is_clip: bool, marks: Sequence[Mark], out: Path) -> bool:
    """Write a JPEG of a picture with its marks; False where it cannot be read any more."""
    ((_, picture),) = read_pictures(source, [frame], honour_orientation=True, is_clip=is_clip)
    if isinstance(picture, ImageError):
        return False
    marked(picture, marks).save(out, quality=90)
    return True


def annotate_video(source: Path, frames: Sequence[int], marks: Sequence[Mark], out: Path) -> bool:
    """Write an MP4 of a video, each frame with the mark of the nearest of some frames; False where it is gone.

    It has no sound. Memory holds one frame.
    """
    places = np.asarray(frames)
    try:
        with open_video(source) as (container, stream):
            shown = (
                marked(frame.to_image(), [marks[int(np.abs(places - number).argmin())]])
                for number, frame in enumerate(decoded(container, stream))
            )
            return _written(shown, stream.average_rate or stream.guessed_rate or _RATE, out)
    except (VideoError, LargeVideoError, OSError):
        out.unlink(missing_ok=True)
        return False


def annotate_frames(files: Sequence[Path], marks: Sequence[Mark], out: Path) -> bool:
    """The same of a clip whose frames are files, each with its own mark; those that cannot be read are left out."""
    pictures = (read_pictures(file, [0], honour_orientation=True) for file in files)
    shown = (
        marked(picture, [mark])
        for ((_, picture),), mark in zip(pictures, marks, strict=True)
        if not isinstance(picture, ImageError)
    )
    return _written(shown, _RATE, out)


def _written(pictures: Iterable[Image.Image], rate: Fraction | int, out: Path) -> bool:
    """Write pictures as a video of the size of the first one; False where there are none."""
    av = pyav()
    with av.open(str(out), "w", format="mp4") as written:
        target = None
        for picture in map(_even, pictures):
            if target is None:
                target = written.add_stream("libx264", rate=rate)
                target.width, target.height, target.pix_fmt = *picture.size, "yuv420p"
            fitted = picture.resize((target.width, target.height))
            written.mux(target.encode(av.VideoFrame.from_image(fitted)))
        if target is not None:
            written.mux(target.encode())
    if target is None:
        out.unlink(missing_ok=True)
    return target is not None


def marked(picture: Image.Image, marks: Sequence[Mark]) -> Image.Image:
    """A picture with boxes in it, and below it the likeliest classes of each mark with bars."""
    scale = min(_LONGEST / max(picture.size), max(1.0, _NARROWEST / picture.width))
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    shown = picture.resize(size, Image.Resampling.LANCZOS) if size != picture.size else picture
    line = max(16, size[0] // 32)
    lines = [one for mark in marks for one in _lines(mark)]
    sheet = Image.new("RGB", (size[0], size[1] + line * len(lines) + line // 2), _PAPER)
    sheet.paste(shown, (0, 0))
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(round(line * 0.75))
    for mark in marks:
        if mark.box is not None:
            _draw_box(pen, [value * scale for value in mark.box], mark, font, line)
    for k, (text, share) in enumerate(lines):
        _draw_line(pen, (0, size[1] + line * k + line // 4), size[0], line, text, share, font)
    return sheet


def _lines(mark: Mark) -> list[tuple[str, float]]:
    """(words, share) of the likeliest classes."""
    best = sorted(range(len(mark.shares)), key=lambda k: -mark.shares[k])[:_SHOWN]
    number = "" if mark.number is None else f"{mark.number}  "
    return [(f"{number}{legible(mark.classes[k], 24)}", mark.shares[k]) for k in best]


def _draw_box(pen: ImageDraw.ImageDraw, box: Sequence[float], mark: Mark, font: Font, line: int):
    x0, y0, x1, y1 = box
    pen.rectangle((x0, y0, x1, y1), outline=_FRAME, width=max(2, line // 8))
    if mark.number is not None:
        pen.rectangle((x0, y0, x0 + line, y0 + line), fill=_FRAME)
        pen.text((x0 + line / 4, y0 + line / 8), str(mark.number), fill=_INK, font=font)


def _draw_line(
    pen: ImageDraw.ImageDraw, at: tuple[int, int], width: int, line: int, text: str, share: float, font: Font
):
    left, top = at
    name, number = round(width * 0.42), round(width * 0.14)
    pen.text((left + line / 4, top), text, fill=_INK, font=font)
    room = width - name - number
    pen.rectangle((left + name, top + line * 0.2, left + name + max(1, room * share), top + line * 0.8), fill=_BAR)
    pen.text((left + width - number + line / 4, top), f"{share:.2f}", fill=_INK, font=font)


def _even(picture: Image.Image) -> Image.Image:
    """Most players want even sides."""
    width, height = (side - side % 2 for side in picture.size)
    return picture.crop((0, 0, width, height))
