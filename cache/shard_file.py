"""Shard files as zarr writes them in our stores, read straight into memory, and replaced whole.

zarr takes several times as long as reading the bytes does, and what it writes aside cannot be told from what a killed
process left. The checksums are the same; whatever does not fit is left to zarr.
"""

import math
import os
import struct
from io import BufferedReader
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np

from ..untrusted import open_file
from .files import new_file
from .header import Header

_TAIL_BYTES = 4 + 16 + 4
"""Checksum of the values, index, checksum of the index."""
_PIECE = 1 << 20
"""Bytes that are written at once: with many more, Linux's page cache was seen to take five times as long."""
_EXPONENT = np.uint16(0x7C00)
"""Of a float16."""


def is_plain(header: Header, metadata: Any) -> bool:
    """Whether zarr's metadata of an array says that each of its shards is one uncompressed, checksummed chunk."""
    checked_bytes = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
    sharding = {
        "chunk_shape": list(header.shard_shape),
        "codecs": checked_bytes,
        "index_codecs": checked_bytes,
        "index_location": "end",
    }
    expected = {
        "shape": [header.rows, *header.row_shape],
        "data_type": header.dtype,
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
    }
    return isinstance(metadata, dict) and {name: metadata.get(name) for name in expected} == expected


def size(header: Header) -> int:
    """Bytes of the file of such a shard."""
    values = math.prod(header.shard_shape) * np.dtype(header.dtype).itemsize
    return values + _TAIL_BYTES


def read_into(values: np.ndarray, file: Path) -> int | None:
    """Fill `values` (shard_shape) from the file of such a shard, and return their CRC-32C.

    None where the file is missing or not such a one.
    """
    data = values.reshape(-1).view(np.uint8)
    try:
        with open_file(file) as opened:
            is_full = opened.readinto(data.data) == len(data)
            found = crc32c(data)
            return found if is_full and opened.read() == _tail(len(data), found) else None
    except FileNotFoundError:
        return None


def noted_crc32c(file: Path, header: Header) -> int | None:
    """The CRC-32C that such a file carries, without looking at its values; None where it is not whole."""
    try:
        with open_file(file) as opened:
            if os.fstat(opened.fileno()).st_size != size(header):
                return None
            opened.seek(-_TAIL_BYTES, os.SEEK_END)
            return struct.unpack("<I", opened.read(4))[0]
    except (OSError, ValueError, struct.error):
        return None


def replace(file: Path, values: np.ndarray) -> int:
    """Put `values` (shard_shape) in the place of such a file, flushed to the disk; returns their CRC-32C."""
    data = values.reshape(-1).view(np.uint8)
    found = crc32c(data)
    with new_file(file) as temporary, temporary.open("wb") as opened:
        for start in range(0, len(data), _PIECE):
            opened.write(data[start : start + _PIECE].data)
        opened.write(_tail(len(data), found))
    return found


def read_rows(file: Path, rows: np.ndarray, places: np.ndarray, out: np.ndarray) -> None:
    """Put rows of such a shard's file, in ascending order, into `out[places]`, without checking them.

    Raises OSError or ValueError where they are not there.
    """
    parts = out.reshape(len(out), -1).view(np.uint8)
    with open_file(file) as opened:
        for row, place in zip(rows.tolist(), places.tolist(), strict=True):
            if _read_at(opened, row * parts.shape[1], parts[place].data) != parts.shape[1]:
                raise ValueError("it ends too early")


def _read_at(file: BufferedReader, offset: int, into: memoryview) -> int:
    """How many bytes from some place of a file were put into memory."""
    if hasattr(os, "preadv"):  # not on Windows
        return os.preadv(file.fileno(), [into], offset)
    file.seek(offset)
    return file.readinto(into)


def _tail(length: int, crc: int) -> bytes:
    """What follows the values: their CRC-32C, then the index (offset and length of the one chunk) and its CRC-32C."""
    index = struct.pack("<QQ", 0, length + 4)
    return struct.pack("<I", crc) + index + struct.pack("<I", google_crc32c.value(index))


def crc32c(values: np.ndarray) -> int:
    """The CRC-32C of an array's bytes."""
    return google_crc32c.value(values.reshape(-1).view(np.uint8))  # pyright: ignore[reportArgumentType]


def finite_rows(values: np.ndarray) -> np.ndarray:
    """(n,) whether all numbers of a row (n, …) are finite.

    Of float16 it is told from the bits: infinity and NaN have all those of the exponent. NumPy takes several times as
    long, as it makes each a float32 first.
    """
    flat = values.reshape(len(values), -1)
    if flat.dtype != np.float16:
        return np.all(np.isfinite(flat), axis=1)
    return np.all((flat.view(np.uint16) & _EXPONENT) != _EXPONENT, axis=1)
