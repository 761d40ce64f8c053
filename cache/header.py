"""The header of a feature store: what it says about itself, and how its rows are cut into shards."""

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, TypeAdapter

SCHEMA = 1
SHARD_ROWS = 1024
"""Rows per shard, the same for every node: 1 to 50 MB, the unit of work and of atomic writing."""

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
    def tower_dtype(self) -> str:
        """The dtype of a CLIP tower; empty for encoders whose parts have several."""
        found = self.spec.get("precision")
        return found if isinstance(found, str) else ""

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
    def bytes(self) -> int:
        return int(self.rows * np.prod(self.row_shape) * np.dtype(self.dtype).itemsize)


def parse_header(text: str) -> Header:
    """A header from its JSON. Raises ValueError where it is not one, or of another schema."""
    content = json.loads(text)
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != SCHEMA:
        raise ValueError(f"its schema is {schema}; this version reads {SCHEMA}")
    return _HEADER.validate_json(text, strict=True)


_HEADER = TypeAdapter(Header)
