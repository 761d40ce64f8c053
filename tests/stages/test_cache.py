"""`expclip cache`: what it lists, and how a store is named."""

import numpy as np
import pytest
from expclip.cache.cache import Cache
from expclip.cache.header import Header
from expclip.cache.keys import digest, store_key
from expclip.cache.receipts import FailedRow
from expclip.errors import UsageError
from expclip.stages.cache import export, import_, list_stores


def fill(cache: Cache, node: str, rows: int, failed: int = 0):
    spec = {"node": node}
    header = Header(
        dataset="faces",
        node=node,
        model="ViT-X",
        instruction="",
        protocol="released",
        untrained=True,
        spec=spec,
        encoder_digest=digest(spec),
        rows_digest="rows",
        key=store_key(spec, "rows"),
        rows=30,
        row_shape=(5,),
    )
    store = cache.create_store(header)
    why = tuple(FailedRow(row, f"{row}.png", "broken") for row in range(failed))
    store.write_shard(0, np.ones((rows, 5)), why)
    return store


def test_the_list_says_how_far_each_store_is(tmp_path):
    cache = Cache(tmp_path)
    fill(cache, "clip_image", 30, failed=2)
    fill(cache, "query_tokens", 12)
    lines = {line.node: line for line in list_stores(cache)}
    assert (lines["clip_image"].done, lines["clip_image"].failed, lines["clip_image"].rows) == (30, 2, 30)
    assert (lines["query_tokens"].done, lines["query_tokens"].failed) == (12, 0)
    assert all(line.untrained and line.bytes > 30 * 5 * 2 and not line.problem for line in lines.values())


def test_the_list_names_what_cannot_be_read(tmp_path):
    cache = Cache(tmp_path)
    store = fill(cache, "clip_image", 30)
    (store.path / "zarr.json").write_text("{")
    (line,) = list_stores(cache)
    assert line.path == store.path
    assert "remove it and run `expclip extract` again" in line.problem


def test_a_store_is_exported_by_any_part_of_its_name_that_only_it_has(tmp_path):
    cache = Cache(tmp_path / "cache")
    image = fill(cache, "clip_image", 30)
    fill(cache, "query_tokens", 12)
    assert export(cache, "clip_im", tmp_path / "a.h5").path == image.path
    assert export(cache, str(image.path), tmp_path / "b.h5").path == image.path
    with pytest.raises(UsageError, match=r"several stores are called 'ViT-X': clip_image-.*, query_tokens-"):
        export(cache, "ViT-X", tmp_path / "c.h5")
    with pytest.raises(UsageError, match="no stores are called 'llm': see `expclip cache list`"):
        export(cache, "llm", tmp_path / "c.h5")
    (arrived,) = import_(Cache(tmp_path / "other"), [tmp_path / "a.h5"])
    np.testing.assert_array_equal(arrived.read(), image.read())
