"""The chunks of a PNG: its picture without its metadata, and whether its rows are all there.

Source: Portable Network Graphics (PNG) Specification, third edition, sections 5 and 8.1.
"""

import io
import struct
import zlib
from collections.abc import Collection, Iterator
from typing import BinaryIO

_MAGIC = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""By colour type."""
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Of an interlaced picture: first column and row, and the steps to the next ones."""
ANIMATION = (b"acTL", b"fcTL", b"fdAT", b"tRNS")
"""Of what a decoder may leave out, that which makes the frames of an animated picture."""
_LONGEST_EXIF = 2**20
_PIECE = 2**16


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Kind, position and length of the content of each chunk, up to the first that is not whole."""
    end = file.seek(0, io.SEEK_END)
    file.seek(0)
    at = len(_MAGIC) if file.read(len(_MAGIC)) == _MAGIC else end
    while at + 12 <= end:
        file.seek(at)
        length, kind = struct.unpack(">I4s", file.read(8))
        if not (kind.isalpha() and kind.isascii()) or at + 12 + length > end:
            return
        yield kind, at + 8, length
        if kind == b"IEND":
            return
        at += 12 + length


def without_metadata(file: BinaryIO, most: int, more: Collection[bytes] = ()) -> BinaryIO | None:
    """A PNG that has only what makes its pixels, and EXIF data, which says what is up, where it is sound.

    Chunks of the kinds `more` make pixels too.
    None where the file is no PNG, has no more than that, or more than `most` bytes of it.
    """
    kept, has_more = io.BytesIO(), False
    kept.write(_MAGIC)
    for kind, at, length in _chunks(file):
        is_needed = kind[:1].isupper() or kind in more
        if is_needed or (kind == b"eXIf" and length <= _LONGEST_EXIF):
            if kept.tell() + length > most:
                return None
            file.seek(at - 8)
            chunk = file.read(length + 12)
            is_needed = is_needed or zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")
            kept.write(chunk if is_needed else b"")
        has_more = has_more or not is_needed
    kept.seek(0)
    return kept if has_more else None


def whole_pictures(file: BinaryIO, most: int = 1) -> int:
    """How many of the first pictures of a PNG have data enough for all of their rows, before one that has not."""
    header, count, needed, pixels = b"", 0, 0, zlib.decompressobj()
    for kind, at, length in _chunks(file):
        file.seek(at)
        if kind == b"IHDR":
            header = file.read(length)
            needed = _bytes_of_rows(header)
        elif kind == b"fcTL" and needed <= 0:
            count, pixels = count + 1, zlib.decompressobj()
            size = file.read(length)[4:12]
            needed = min(_bytes_of_rows(size + header[8:]), _bytes_of_rows(header))
        elif kind in (b"IDAT", b"fdAT") and needed > 0:
            number = file.read(4) if kind == b"fdAT" else b""
            try:
                needed -= _inflated(file, length - len(number), pixels, needed)
            except zlib.error:
                break
        if count + (needed <= 0) >= most:
            break
    return count + (needed <= 0 and bool(header))


def _inflated(file: BinaryIO, length: int, pixels: "zlib._Decompress", most: int) -> int:
    """How many bytes of pixels a chunk gives; no more than are needed are looked for."""
    count = 0
    for start in range(0, length, _PIECE):
        packed = file.read(min(_PIECE, length - start))
        while packed and not pixels.eof and count < most:
            count += len(pixels.decompress(packed, _PIECE))
            packed = pixels.unconsumed_tail
    return count


def _bytes_of_rows(header: bytes) -> int:
    """Bytes of the rows of a picture before compression, filter types included."""
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header[:13])
    total = 0
    for left, top, across, down in _PASSES if interlaced else ((0, 0, 1, 1),):
        columns, rows = -((left - width) // across), -((top - height) // down)
        total += rows * (1 + (columns * depth * _CHANNELS[colour] + 7) // 8) if columns > 0 and rows > 0 else 0
    return total
