"""Features are the same however many workers make them, in batches of whatever size, in whichever order."""

import numpy as np
import pytest
from dask.distributed import LocalCluster
from expclip.stages.reencoding import TOLERANCES

MINIATURE = {"clip": "miniature", "teacher": "miniature", "features": ["clip_image", "query_tokens", "llm"]}


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr("expclip.cache.header.SHARD_ROWS", 8)


def made(lab) -> dict[str, np.ndarray]:
    """(rows, …) float64 of each store, by node; all are complete."""
    stores = list(lab.cache.stores())
    assert all(store.is_complete() for store in stores)
    return {store.header.node: store.read().astype(np.float64).reshape(store.header.rows, -1) for store in stores}


@pytest.mark.parametrize(
    ("threads", "batch_size", "parts"),
    [(1, 1, ("1/1",)), (3, 3, ("1/1",)), (2, 64, ("3/3", "1/3", "2/3"))],
    ids=["row by row", "three at once", "parts from behind"],
)
def test_features_do_not_depend_on_workers_batches_and_order(lab, photos, tmp_path, threads, batch_size, parts):
    lab.extract(photos, **MINIATURE, batch_size=8)
    expected = made(lab)
    spread = lab.but(cache=tmp_path / "spread", workers=None)
    how = {"processes": False, "dashboard_address": ":0", "silence_logs": 50, "threads_per_worker": threads}
    with LocalCluster(n_workers=1, **how) as cluster:
        for part in parts:
            how = {"scheduler": cluster.scheduler_address, "batch_size": batch_size, "part": part}
            spread.extract(photos, **MINIATURE, **how)
    found = made(spread)
    assert found.keys() == expected.keys()
    for node, values in expected.items():
        cosines = (values * found[node]).sum(1) / np.linalg.norm(values, axis=1) / np.linalg.norm(found[node], axis=1)
        assert cosines.min() >= TOLERANCES["float32"]
