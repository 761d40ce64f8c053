"""Picture files that hold several pictures: animated GIF, WebP, PNG and AVIF, TIFF with pages, MPO.

They are counted by a walk over their structure: no decoder, which a file may crash, sees them before they are read.

A clip that is such a file has its name with a slash behind it as its source, as if it were the folder of its frames:
the same file without the slash is a still image, of which the first picture is taken.
"""

import io
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from .remarks import remark

_SUFFIXES = (".gif", ".webp", ".png", ".apng", ".tif", ".tiff", ".mpo", ".avif")
_MOST_PAGES = 2**16


def may_be_animated(name: str) -> bool:
    """Whether a file of this name may hold several pictures."""
    return name.lower().endswith(_SUFFIXES)


def as_clip(source: str) -> str:
    """The source of a clip that is a picture file."""
    return f"{source}/"


def is_picture_clip(source: str) -> bool:
    return source.endswith("/")


def is_animated(path: Path) -> bool:
    """Whether a file holds several pictures, as far as its first bytes tell; False where it cannot be read."""
    return may_be_animated(path.name) and _count(path, 2) == 2


def count_pictures(path: Path) -> int:
    """How many pictures a file holds, whatever it says of that itself; 0 where it cannot be read."""
    return _count(path)


def only_first_frames(found: Sequence[str]) -> list[str]:
    """A remark on the still images that are more than that."""
    one, many = (
        "picture is animated or has pages, and its first",
        "pictures are animated or have pages, and their first",
    )
    return remark(found, f"{one} frame is taken", f"{many} frames are taken")


def _count(path: Path, most: int | None = None) -> int:
    count = 0
    with suppress(Exception):  # what precedes the damage counts; what is wrong is said when it is decoded
        if not path.is_file():  # opening a named pipe would wait forever
            return 0
        with path.open("rb") as file:
            head = file.read(16)
            walk = next((walk for mark, walk in _WALKS.items() if head.startswith(mark)), _still)
            for _ in islice((_avif if head[4:8] == b"ftyp" else walk)(file), most):
                count += 1
    return count


def _still(file: BinaryIO) -> Iterator[None]:
    """The only picture of any other format."""
    yield


def _gif(file: BinaryIO) -> Iterator[None]:
    """The image descriptors of a GIF. Source: the GIF89a specification."""

    def palette(flags: int) -> int:
        return 3 << ((flags & 7) + 1) if flags & 0x80 else 0

    file.seek(10)
    file.seek(13 + palette(file.read(1)[0]))
    while (kind := file.read(1)) in (b"!", b","):
        if kind == b"!":
            file.read(1)
        else:
            yield
            file.seek(palette(file.read(9)[8]) + 1, io.SEEK_CUR)
        while length := file.read(1)[0]:
            file.seek(length, io.SEEK_CUR)


def _webp(file: BinaryIO) -> Iterator[None]:
    """The frames of a WebP; a still one has the picture itself. Source: the WebP container specification."""
    file.seek(12)
    while len(head := file.read(8)) == 8:
        kind, length = struct.unpack("<4sI", head)
        if not kind.isascii() or not kind.strip(b"\0"):  # a file may have terabytes of nothing
            return
        if kind in (b"ANMF", b"VP8 ", b"VP8L"):
            yield
        file.seek(length + length % 2, io.SEEK_CUR)


def _png(file: BinaryIO) -> Iterator[None]:
    """The frames of a PNG; a picture that is shown where nothing moves is none. Source: PNG, third edition."""
    at, end, has_frames = 8, file.seek(0, io.SEEK_END), False
    while at < end:
        file.seek(at)
        length, kind = struct.unpack(">I4s", file.read(8))
        has_frames = has_frames or kind == b"acTL"
        if kind == b"fcTL" or (kind == b"IDAT" and not has_frames):
            yield
        if not kind.isalpha() or kind == b"IEND" or (kind == b"IDAT" and not has_frames):
            return
        at += 12 + length


def _tiff(file: BinaryIO) -> Iterator[None]:
    """The directories of a TIFF, up to one that was there before. Source: TIFF 6.0, and BigTIFF."""
    file.seek(0)
    order = "<" if file.read(2) == b"II" else ">"
    is_big = file.read(2) in (b"+\0", b"\0+")
    number, count, entry = ("Q", "Q", 20) if is_big else ("I", "H", 12)

    def read(kind: str) -> int:
        return struct.unpack(order + kind, file.read(struct.calcsize(order + kind)))[0]

    file.seek(8 if is_big else 4)
    seen: set[int] = set()
    while (at := read(number)) and at not in seen and len(seen) < _MOST_PAGES:
        seen.add(at)
        file.seek(at)
        entries = read(count)
        yield
        file.seek(entries * entry, io.SEEK_CUR)


def _mpo(file: BinaryIO) -> Iterator[None]:
    """The pictures that the index of an MPO lists; a JPEG without one is a picture. Source: CIPA DC-007."""
    at = 2
    while True:
        file.seek(at)
        marker, length = struct.unpack(">HH", file.read(4))
        if not 0xFFE0 <= marker <= 0xFFEF and marker != 0xFFFE:  # what is noted comes first
            yield
            return
        segment = file.read(length - 2) if marker == 0xFFE2 else b""
        if segment.startswith(b"MPF\0"):
            yield from [None] * _listed(segment[4:])
            return
        at += 2 + length


def _listed(index: bytes) -> int:
    """How many pictures the index of an MPO has entries for, of 16 bytes each."""
    order = "<" if index.startswith(b"II") else ">"
    (at,) = struct.unpack_from(f"{order}I", index, 4)
    (entries,) = struct.unpack_from(f"{order}H", index, at)
    fields = (struct.unpack_from(f"{order}HHI", index, at + 2 + 12 * number) for number in range(entries))
    return min(len(index), next(count for tag, _, count in fields if tag == 0xB002)) // 16


def _avif(file: BinaryIO) -> Iterator[None]:
    """The samples of the longest track of an AVIF; one without is a picture. Source: ISO/IEC 14496-12, 8.7.3."""
    end = file.seek(0, io.SEEK_END)
    file.seek(8)
    counts = [] if file.read(4) == b"avif" else [_samples(file, start) for start in _inside(file, _TABLE, 0, end)]
    yield from [None] * max(counts, default=1)


def _samples(file: BinaryIO, at: int) -> int:
    """How many sizes of samples a table of them holds, or those that have one size could have."""
    end = file.seek(0, io.SEEK_END)
    file.seek(at)
    _, size, count = struct.unpack(">III", file.read(12))
    return min(count, (end - at) // (size or 4), _MOST_PAGES)


def _inside(file: BinaryIO, kinds: Sequence[bytes], at: int, end: int) -> Iterator[int]:
    """Where the content of the boxes of some kind begins that lie in boxes of other kinds."""
    while at + 8 <= end:
        file.seek(at)
        length, kind = struct.unpack(">I4s", file.read(8))
        start = at + 8
        if length == 1:
            (length,), start = struct.unpack(">Q", file.read(8)), at + 16
        after = at + length if length else end
        if after < start:
            return
        if kind == kinds[0]:
            yield from _inside(file, kinds[1:], start, min(after, end)) if kinds[1:] else (start,)
        at = after


_TABLE = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsz")

_WALKS: dict[bytes, Callable[[BinaryIO], Iterator[None]]] = {
    b"GIF8": _gif,
    b"RIFF": _webp,
    b"\x89PNG": _png,
    b"II*\0": _tiff,
    b"II+\0": _tiff,
    b"MM\0*": _tiff,
    b"MM\0+": _tiff,
    b"\xff\xd8\xff": _mpo,
}
