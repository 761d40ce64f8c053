"""Heads that are fitted to features which stay on the disk, against the same features in memory."""

import numpy as np
import pytest
from expclip.cache.header import Header
from expclip.cache.keys import digest, store_key
from expclip.cache.receipts import FailedRow
from expclip.cache.rows_on_disk import RowsOnDisk
from expclip.cache.store import FeatureStore
from expclip.errors import ExpclipError, UsageError
from expclip.heads.kinds import KINDS, TeacherPairs
from expclip.heads.recipe import Recipe
from made_up import made_up_features

ROWS = 2500
FAILED = [0, 7, 1024, 2047, 2499]
KEPT = np.delete(np.arange(ROWS), FAILED)
RECIPE = Recipe(epochs=2, batch_size=64, lr=1e-4, seed=3)


def store_of(folder, node: str, features: np.ndarray) -> FeatureStore:
    """Three shards, in which some rows failed."""
    spec = {"node": node, "weights": "00ff"}
    rest = {"model": "made-up", "instruction": "", "protocol": "released", "untrained": True, "spec": spec}
    digests = {"encoder_digest": digest(spec), "rows_digest": "faces", "key": store_key(spec, "faces")}
    known = Header("faces", node, **rest, **digests, rows=ROWS, row_shape=features.shape[1:])
    store = FeatureStore.create(folder / f"{node}-0.zarr", known)
    for shard in range(known.shards):
        rows = known.shard_rows(shard)
        failed = tuple(FailedRow(row, f"{row}.png", "this is no image") for row in FAILED if row in rows)
        store.write_shard(shard, features[rows.start : rows.stop], failed)
    return store


@pytest.fixture
def stores(tmp_path) -> list[FeatureStore]:
    X, E = made_up_features(ROWS, width=128)
    return [store_of(tmp_path, "clip_image", X), store_of(tmp_path, "llm", E)]


@pytest.mark.parametrize("on_disk", [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if kind.learns_from == "teacher"])
def test_a_head_is_the_same_wherever_its_features_are(stores, kind, on_disk):
    sides = [RowsOnDisk(store) if disk else store.read() for store, disk in zip(stores, on_disk, strict=True)]
    found = KINDS[kind].trainer.fit(TeacherPairs(*sides, KEPT), RECIPE, None)
    expected = KINDS[kind].trainer.fit(TeacherPairs(*(store.read()[KEPT] for store in stores)), RECIPE, None)
    tolerance = 0 if KINDS[kind].has_steps else 1e-6  # the sums of ridge are taken in other parts
    for name, value in expected.tensors().items():
        np.testing.assert_allclose(found.tensors()[name], value, rtol=tolerance, atol=tolerance / 10)


@pytest.mark.parametrize("kind", ["linear", "ridge"])
def test_a_row_without_features_is_named_not_learnt_from(stores, kind):
    with pytest.raises(UsageError, match=r"X has NaN, .*the first in row 7"):
        KINDS[kind].trainer.fit(TeacherPairs(*map(RowsOnDisk, stores), np.arange(1, ROWS)), RECIPE, None)


@pytest.mark.parametrize("kind", ["linear", "ridge"])
def test_damage_is_found_before_anything_is_learnt(stores, kind):
    file = stores[1].path / "features" / "c" / "1" / "0"
    content = bytearray(file.read_bytes())
    content[5] ^= 1
    file.write_bytes(content)
    with pytest.raises(ExpclipError, match="shard 1 is damaged"):
        KINDS[kind].trainer.fit(TeacherPairs(*map(RowsOnDisk, stores), KEPT), RECIPE, None)


@pytest.mark.parametrize("how", ["gone", "cut"])
def test_a_shard_that_goes_while_heads_are_fitted_is_named(stores, how):
    pairs = TeacherPairs(*map(RowsOnDisk, stores), KEPT)
    file = stores[1].path / "features" / "c" / "1" / "0"

    def spoil(done: int, total: int) -> None:
        if done == 3 and how == "gone":
            file.unlink()
        elif done == 3:
            file.write_bytes(file.read_bytes()[:5000])

    with pytest.raises(ExpclipError, match=r"llm-0\.zarr: shard 1 is damaged"):
        KINDS["linear"].trainer.fit(pairs, RECIPE, spoil)


def test_rows_are_taken_in_any_order_and_as_often_as_asked(stores):
    rows = np.random.default_rng(0).integers(0, ROWS, 500)
    np.testing.assert_array_equal(RowsOnDisk(stores[1]).take(rows), stores[1].read()[rows])
