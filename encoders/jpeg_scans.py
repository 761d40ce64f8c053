"""Whether the scans of a JPEG are all there. libjpeg paints grey what is not, and Pillow hears nothing of it.

Source: ITU-T T.81, annexes B (markers), F.1.2.3 (restart intervals) and G (progressive scans).
"""

import io
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageChops, ImageFile

from .picture_errors import IncompleteError

_EOI, _SOS, _DRI = 0xD9, 0xDA, 0xDD
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_RESTARTS = range(0xD0, 0xD8)
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
"""Any but stuffed zeros and restarts, which are part of the data of a scan."""
_RESTART = re.compile(rb"\xff([\xd0-\xd7])")
_HEADER = 2**16
"""Bytes in which the first scan usually begins."""
_MOST_SCANS = 200
"""Ten are usual. Each costs the time of the whole picture, however few bytes it has."""
_GREY = (126, 130)
"""What libjpeg paints is 128, but for rounding."""
_ZEROS = 64
"""So many at its end are no part of a picture: a download that was cut, or a disk that was full, leaves them."""
_OTHER_DATA = b"\x35\xca\x53\xa5" * 16
_COEFFICIENTS = 64


@dataclass
class _Scans:
    """What the markers of a JPEG say."""

    frame: int = 0
    """The marker of the frame header: how its scans are coded."""
    size: tuple[int, int] = (0, 0)
    sampling: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By component: blocks across and down in each unit that is coded."""
    interval: int = 0
    """Units between two restart markers; 0 where there are none."""

    @property
    def units(self) -> int:
        """How many are coded one after another in a scan of all components."""
        across, down = (max(steps) for steps in zip(*self.sampling.values(), strict=True))
        if len(self.sampling) == 1:
            across, down = 1, 1
        width, height = self.size
        return -(-width // (8 * across)) * -(-height // (8 * down))


def refuse_missing_scans(image: ImageFile.ImageFile, file: BinaryIO) -> None:
    """Raise IncompleteError for a JPEG with scans or restart intervals that are missing.

    Of a sequential one in a single scan, the usual kind, only header and end are read.
    """
    _refuse_zeros(image, file)
    file.seek(_start(image))
    content = file.read(_HEADER)
    if _is_usual(image, content):
        return
    scans, components = _header(content)
    if not components:
        content += file.read()
        scans, components = _header(content)
    if not components or not scans.sampling:
        return
    is_whole_in_one = scans.frame not in _PROGRESSIVE and components == len(scans.sampling)
    if is_whole_in_one and not scans.interval:
        return
    content += file.read()
    if is_whole_in_one:
        _refuse_missing_restarts(content, scans)
    else:
        _refuse_missing_coefficients(content, scans)


def _refuse_zeros(image: Image.Image, file: BinaryIO) -> None:
    """Raise IncompleteError for a JPEG without an end in a file that ends in zeros, which decode to something."""
    file.seek(max(0, file.seek(0, io.SEEK_END) - _ZEROS))
    if any(file.read()):
        return
    file.seek(_start(image))
    if all(marker != _EOI for marker, _, _ in _segments(file.read())):
        raise IncompleteError("the picture ends early: the file holds zeros in place of its rest: copy it again")


def _start(image: Image.Image) -> int:
    """Where a picture begins in its file: those of an MPO lie one behind another."""
    return getattr(image, "offset", 0) if image.format == "MPO" else 0


def _is_usual(image: ImageFile.ImageFile, content: bytes) -> bool:
    """Whether a single scan without restarts is all that there can be, as far as a glance tells."""
    count = len(image.getbands())
    scan = bytes([0xFF, _SOS, 0, 6 + 2 * count, count])
    has_more = "progressive" in image.info or "exif" in image.info  # EXIF data may hold a picture of their own
    return not has_more and scan in content and bytes([0xFF, _DRI, 0, 4]) not in content


def _header(content: bytes) -> tuple[_Scans, int]:
    """What precedes the first scan, and how many components that has; 0 where it is not reached."""
    scans = _Scans()
    for marker, _, segment in _segments(content):
        if marker == _SOS:
            return scans, segment[0] if segment else 0
        if marker in _FRAMES or marker == _DRI:
            _note(marker, segment, scans)
    return scans, 0


def _note(marker: int, content: bytes, scans: _Scans) -> None:
    if marker == _DRI:
        scans.interval = int.from_bytes(content[:2], "big")
        return
    _, height, width, count = struct.unpack_from(">BHHB", content)
    components = (content[at : at + 2] for at in range(6, 6 + 3 * count, 3))
    scans.frame, scans.size = marker, (width, height)
    scans.sampling = {one[0]: (max(one[1] >> 4, 1), max(one[1] & 15, 1)) for one in components}


def _segments(content: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Marker, position and content of each segment up to the end of the picture."""
    at = 2
    while found := _MARKER.search(content, at):
        marker, at = found[1][0], found.end()
        if marker == _EOI:
            yield marker, found.start(), b""
            return
        length = int.from_bytes(content[at : at + 2], "big")
        yield marker, found.start(), content[at + 2 : at + length]
        at += length


def _refuse_missing_restarts(content: bytes, scans: _Scans) -> None:
    begin = next(at for marker, at, _ in _segments(content) if marker == _SOS)
    end = next((at for _, at, _ in _segments(content) if at > begin), len(content))
    found = [restart[1][0] for restart in _RESTART.finditer(content, begin + 2, end)]
    expected = -(-scans.units // scans.interval) - 1
    if found[:expected] != [_RESTARTS[number % len(_RESTARTS)] for number in range(expected)]:
        raise IncompleteError("parts of the picture are missing in the file: its restart markers are not in order")


def _refuse_missing_coefficients(content: bytes, scans: _Scans) -> None:
    """Each component needs its mean of each block, and what a scan begins to tell of it, later ones must complete."""
    lacking: dict[int, list[int | None]] = {one: [None] * _COEFFICIENTS for one in scans.sampling}
    headers = [header for marker, _, header in _segments(content) if marker == _SOS]
    if len(headers) > _MOST_SCANS:
        raise IncompleteError(f"it has more than {_MOST_SCANS} scans, which no camera or program makes: save it anew")
    for header in headers:
        count = header[0]
        first, last, bits = header[1 + 2 * count : 4 + 2 * count]
        if scans.frame not in _PROGRESSIVE:
            first, last, bits = 0, _COEFFICIENTS - 1, 0
        for component in header[1 : 1 + 2 * count : 2]:
            if component in lacking:
                lacking[component][first : last + 1] = [bits & 15] * (last + 1 - first)
    brightness, *_ = lacking.values()
    is_whole = all(one[0] == 0 and not any(one[1:]) for one in lacking.values()) and None not in brightness
    if not is_whole:
        raise IncompleteError("scans of the picture are missing in the file")


def refuse_grey_end(image: Image.Image, file: BinaryIO) -> None:
    """Raise IncompleteError for the pixels of a JPEG whose data end before the picture does.

    The last block is grey then. Where it is, the file is decoded again with other data behind its own: they are never
    looked at if the picture is complete.
    """
    if image.info.get("progressive") or not _ends_grey(image):
        return
    file.seek(_start(image))
    content = file.read()
    at = next((at for marker, at, _ in _segments(content) if marker == _EOI), len(content))
    with Image.open(io.BytesIO(content[:at] + _OTHER_DATA + content[at:]), formats=["JPEG"]) as again:
        if ImageChops.difference(image, again.copy()).getbbox() is not None:
            raise IncompleteError("the picture ends before its last rows: the rest of the file is missing")


def _ends_grey(image: Image.Image) -> bool:
    """Whether the last pixel is grey, and with it those of its row that are in the same block."""
    width, height = image.size
    last: Any = image.getpixel((width - 1, height - 1))
    if not _GREY[0] <= (last if image.mode == "L" else sum(last[:3]) / 3) <= _GREY[1]:
        return False
    end = image.crop(((width - 1) // 8 * 8, height - 1, width, height))
    values = np.asarray(end if image.mode in ("L", "CMYK") else end.convert("L"))
    return bool(values.min() >= _GREY[0] and values.max() <= _GREY[1])
