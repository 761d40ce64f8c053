"""A folder of tiny images, an empty cache, and a run of some nodes on them."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from expclip.cache.cache import Cache
from expclip.cache.store import FeatureStore
from expclip.manifests.readers import read_plain_folder
from expclip.pipeline.events import ignore
from expclip.pipeline.executors import RunOptions, run_plan
from expclip.pipeline.plan import Portion, Wanted, header_of, make_plan
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))  # for fake_encoders, here and in Dask's workers


def save_pictures(folder: Path, count: int) -> np.ndarray:
    """Writes images of 4 × 4 random pixels; returns these (count, 4, 4, 3)."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    folder.mkdir()
    for row, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{row:05d}.png")
    return pixels


@pytest.fixture(autouse=True)
def nothing_stays_of_dask():
    """What a worker that is this very process would keep for its next tasks."""
    yield
    if run_dask := sys.modules.get("expclip.pipeline.run_dask"):
        run_dask._loaded.clear()
        while run_dask._crews:
            run_dask._crews.popitem()[1].__exit__()


@pytest.fixture
def shards_of_eight(monkeypatch):
    monkeypatch.setattr("expclip.cache.header.SHARD_ROWS", 8)


@pytest.fixture
def log(tmp_path) -> Path:
    """Where fake encoders write down their calls."""
    return tmp_path / "log"


@pytest.fixture
def cache(tmp_path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def folder(tmp_path) -> Path:
    """Where the images are; `pixels` are what is in them."""
    return tmp_path / "pictures"


@pytest.fixture
def rows() -> int:
    """How many images there are; a module may say otherwise."""
    return 20


@pytest.fixture
def pixels(folder, rows) -> np.ndarray:
    return save_pictures(folder, rows)


@pytest.fixture
def count_decodes(monkeypatch, log):
    """Each decoding becomes a line of the log."""
    from expclip.encoders import pictures
    from fake_encoders import note

    read_image = pictures.read_image

    def counted(path, *how):
        note(log, "decode")
        return read_image(path, *how)

    monkeypatch.setattr(pictures, "read_image", counted)


@pytest.fixture
def run(cache, folder, pixels) -> Callable:
    """Extracts nodes from the images as `expclip extract` does; returns the plan that was run.

    Images are decoded in this process, so that it can be counted, unless `workers` are given.
    """

    def extract(*nodes, limit=None, part=(1, 1), into=cache, executor="local", emit=ignore, **options):
        wanted = [Wanted(read_plain_folder("pictures", folder), nodes)]
        plan = make_plan(into, wanted, Portion(limit, part), "cpu")
        known = {"device": "cpu", "batch_size": 3, "workers": 0 if executor == "local" else 2} | options
        run_plan(into, plan, wanted, RunOptions(executor=executor, **known), emit)
        return plan

    return extract


@pytest.fixture
def store_of(cache, folder, pixels) -> Callable[..., FeatureStore]:
    """The store of a node."""

    def find(node, into=cache) -> FeatureStore:
        store = into.open_store(header_of(read_plain_folder("pictures", folder), node))
        assert store is not None
        return store

    return find
