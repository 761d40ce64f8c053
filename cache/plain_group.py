"""Groups of whole numbers as this package has zarr write them, read without zarr, whose import alone takes longer.

Each array is one chunk of one file, uncompressed. What does not fit is left to zarr; whoever reads checks a digest.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np

from ..untrusted import open_file, parse_json, read_text

MOST_BYTES = 2**32
"""Of one array, unpacked: more than any data set needs."""


def layout(array: np.ndarray) -> dict[str, Any]:
    """How zarr is to write an array (n,) so that it can be read here."""
    plain: dict[str, Any] = {"chunks": (max(len(array), 1),), "compressors": None, "filters": None}
    return plain | {"config": {"write_empty_chunks": True}}  # else zeros would have no file


class PlainGroup:
    """A group of such arrays. Raises ValueError where it is none, and OSError where a file is not there."""

    def __init__(self, folder: Path):
        self._folder = folder
        metadata = _metadata(folder, "group")
        self.attributes: dict[str, Any] = metadata.get("attributes", {})

    def array(self, name: str) -> np.ndarray:
        """(n,) whole numbers by their name."""
        if ".." in name.split("/"):
            raise ValueError(f"{name!r} is no name of an array")
        folder = self._folder / name
        metadata = _metadata(folder, "array")
        shape, kind = metadata.get("shape"), metadata.get("data_type")
        if kind not in _KINDS or not isinstance(shape, list) or len(shape) != 1 or type(shape[0]) is not int:
            raise ValueError(f"its {name} is no list of whole numbers")
        expected = _expected(shape[0], np.dtype(kind))
        if {key: metadata.get(key) for key in expected} != expected:
            raise ValueError(f"its {name} was written in another way")
        return _read(folder / "c" / "0", shape[0], np.dtype(kind))


_KINDS = ("uint8", "int8", "int16", "int32", "int64")


def _metadata(folder: Path, kind: str) -> dict[str, Any]:
    found = parse_json(read_text(folder / "zarr.json"))
    if not isinstance(found, dict) or found.get("node_type") != kind or found.get("zarr_format") != 3:
        raise ValueError(f"it is no {kind} of zarr's third format")
    return found


def _expected(length: int, dtype: np.dtype) -> dict[str, Any]:
    """What zarr's metadata says of an array that `layout` describes."""
    in_bytes: dict[str, Any] = {"name": "bytes"}
    if dtype.itemsize > 1:
        in_bytes["configuration"] = {"endian": "little"}
    return {
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [max(length, 1)]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "codecs": [in_bytes],
    }


def _read(file: Path, length: int, dtype: np.dtype) -> np.ndarray:
    size = length * dtype.itemsize
    if not 0 <= size <= MOST_BYTES:
        raise ValueError("no data set has so many rows")
    if not length:
        return np.empty(0, dtype)
    with open_file(file) as opened:
        if os.fstat(opened.fileno()).st_size != size:
            raise ValueError(f"{file} has another length than it must")
        values = np.empty(length, dtype.newbyteorder("<"))
        if opened.readinto(values.view(np.uint8).data) != size:
            raise ValueError(f"{file} ends too early")
    return values.astype(dtype, copy=False)
