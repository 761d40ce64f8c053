"""The header of a feature store: what it says about itself, and how its rows are cut into shards."""

import math
import os
import re
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, TypeAdapter

from ..errors import HIDDEN, ExpclipError
from ..manifests.prompts import names_instruction
from ..untrusted import parse_json
from .keys import digest, store_key

SCHEMA = 1
SHARD_ROWS = 1024
"""Rows per shard, the same for every node: 1 to 50 MB, the unit of work and of atomic writing."""

_MOST_VALUES = 2**56
_Size = Annotated[int, Field(gt=0)]


@dataclass(frozen=True)
class Header:
    """What a store says about itself."""

    dataset: str
    node: str
    model: str
    instruction: str
    """Name of the instruction; empty where the node has none."""
    protocol: str
    """"released" or "paper"; empty where the values do not depend on it."""
    untrained: bool
    """Whether the encoder has random weights: such features show only that the machinery works."""
    spec: dict[str, Any]
    encoder_digest: str
    rows_digest: str
    key: str
    rows: _Size
    row_shape: tuple[_Size, ...]
    dtype: Literal["float16", "float32"] = "float16"
    schema: int = SCHEMA
    wrote_by: str = ""

    @property
    def main_dtype(self) -> str:
        """The dtype of a CLIP tower or of a T5; empty for encoders that have neither."""
        found = self.spec.get("precision")
        found = found.get("t5") if isinstance(found, dict) else found
        return found if isinstance(found, str) else ""

    @property
    def precision(self) -> str:
        """The dtypes of what can have several, human-readable: a CLIP tower, or a teacher's vision tower or T5."""
        found = self.spec.get("precision")
        parts = found if isinstance(found, dict) else {}
        return ", ".join(f"{part} {parts[part]}" for part in ("vision", "t5") if part in parts) or self.main_dtype

    @property
    def shards(self) -> int:
        return -(-self.rows // SHARD_ROWS)

    @property
    def shard_shape(self) -> tuple[int, ...]:
        """Shape of a shard's file; the last one is padded with NaN."""
        return (min(SHARD_ROWS, self.rows), *self.row_shape)

    def shard_rows(self, shard: int) -> range:
        """Row numbers of a shard."""
        return range(shard * SHARD_ROWS, min((shard + 1) * SHARD_ROWS, self.rows))

    def shards_of(self, rows: range) -> range:
        """The shards that hold some rows."""
        return range(rows.start // SHARD_ROWS, -(-rows.stop // SHARD_ROWS))

    @property
    def width(self) -> int:
        """The length of an embedding. Raises ExpclipError where a row is something else."""
        if len(self.row_shape) != 1:
            raise ExpclipError(
                f"{self.node} of {self.dataset} has rows of the shape {self.row_shape}, and not one embedding each: "
                f"remove that store, and extract again"
            )
        return self.row_shape[0]

    @property
    def bytes(self) -> int:
        return int(self.rows * np.prod(self.row_shape) * np.dtype(self.dtype).itemsize)


def parse_header(text: str) -> Header:
    """A header from its JSON. Raises ValueError where it is not one, or of another schema."""
    content = parse_json(text)
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != SCHEMA:
        raise ValueError(f"its schema is {schema}; this version reads {SCHEMA}")
    header = _adapter().validate_json(text, strict=True)
    if not (is_name(header.dataset) and re.fullmatch("[a-z0-9_]{1,40}", header.node)):
        raise ValueError(f"{header.dataset!r} and {header.node!r} are not names of a data set and a node")
    if not math.prod(header.row_shape) * header.rows < _MOST_VALUES:
        raise ValueError("no disk holds so many features")
    _refuse_contradictions(header)
    return header


def _refuse_contradictions(header: Header) -> None:
    """Raise ValueError where a header's key, or what it calls things, is not what its spec says."""
    if (header.encoder_digest, header.key) != (digest(header.spec), store_key(header.spec, header.rows_digest)):
        raise ValueError("its key does not fit its header")
    for name in ("node", "protocol"):
        if header.spec.get(name, getattr(header, name)) != getattr(header, name):
            raise ValueError(f"its {name} is not the one of its encoder")
    text, name = header.spec.get("instruction"), header.instruction
    if (text is None) != (name == "") or (text is not None and not names_instruction(name, text)):
        raise ValueError(f"its instruction {name!r} is not the one of its encoder")
    weights = header.spec.get("weights")
    if isinstance(weights, dict) and "random_seed" in weights and not header.untrained:
        raise ValueError("its weights are random, and it does not say so")


def is_name(text: str) -> bool:
    """Whether a text can be the folder of a data set: a plain name that leads nowhere else."""
    return bool(re.fullmatch(r"[^./\\][^/\\]*", text)) and len(os.fsencode(text)) <= 255 and not HIDDEN.search(text)


@cache
def _adapter() -> TypeAdapter[Header]:
    """Made where a header is read: it takes as long as reading hundreds of them."""
    return TypeAdapter(Header)
