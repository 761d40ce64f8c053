"""Stores of a few rows: shards of 8 rows instead of 1,024, so that every case fits into milliseconds."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from expclip.cache.header import Header
from expclip.cache.keys import digest, store_key
from expclip.cache.receipts import FailedRow
from expclip.cache.store import FeatureStore
from expclip.manifests.readers import read_plain_folder
from PIL import Image

ROWS = 20
WIDTH = 3


@pytest.fixture(autouse=True)
def shards_of_eight(monkeypatch):
    monkeypatch.setattr("expclip.cache.header.SHARD_ROWS", 8)


@pytest.fixture
def header() -> Callable[..., Header]:
    """A header of 20 rows of 3 numbers; any field can be given."""

    def make(**fields) -> Header:
        spec = fields.pop("spec", {"node": "clip_image", "weights": "00ff"})
        rows_digest = fields.pop("rows_digest", "rows of faces")
        known = {
            "dataset": "faces",
            "node": "clip_image",
            "model": "ViT-X",
            "instruction": "",
            "protocol": "released",
            "untrained": False,
            "spec": spec,
            "encoder_digest": digest(spec),
            "rows_digest": rows_digest,
            "key": store_key(spec, rows_digest),
            "rows": ROWS,
            "row_shape": (WIDTH,),
        }
        return Header(**{**known, **fields})

    return make


@pytest.fixture
def features() -> np.ndarray:
    """(20, 3) float16; no two rows are alike."""
    return np.arange(1, ROWS * WIDTH + 1, dtype=np.float16).reshape(ROWS, WIDTH) / 7


@pytest.fixture
def store(tmp_path, header) -> FeatureStore:
    """An empty store."""
    return FeatureStore.create(tmp_path / "cache" / "faces" / "clip_image-ViT-X-0.zarr", header())


@pytest.fixture
def fill(features) -> Callable[..., FeatureStore]:
    """Writes all shards of a store, or those given; some rows may have failed."""

    def write(store: FeatureStore, shards=None, failed=()) -> FeatureStore:
        for shard in range(store.header.shards) if shards is None else shards:
            rows = store.header.shard_rows(shard)
            why = tuple(FailedRow(row, f"{row}.png", "this is no image") for row in failed if row in rows)
            store.write_shard(shard, features[rows.start : rows.stop], why, device="cpu", versions={"expclip": "0"})
        return store

    return write


@pytest.fixture
def manifest(tmp_path):
    """The manifest of a folder of three images."""
    folder = tmp_path / "three"
    folder.mkdir()
    for name in ("a", "b", "ü"):
        Image.new("RGB", (2, 2)).save(folder / f"{name}.png")
    return read_plain_folder("three", folder)


@pytest.fixture
def read_only() -> Iterator[Callable]:
    """`with read_only(folder)`: nothing in the folder can be written, not even by root.

    The folder must be one that `open_folder` made: others may not look into pytest's own.
    """

    @contextmanager
    def refuse(folder: Path) -> Iterator[None]:
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(user)
            for path in (folder, *folder.rglob("*")):
                path.chmod(0o755 if path.is_dir() else 0o644)

    yield refuse


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A temporary folder into which every user may look."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
