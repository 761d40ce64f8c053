"""`expclip cache`: what it lists, and how a store is named."""

import numpy as np
import pytest
from expclip.cache.cache import Cache
from expclip.cache.header import Header
from expclip.cache.keys import digest, store_key
from expclip.cache.receipts import FailedRow
from expclip.commands.cache import ExportStore, ImportStores, ListCache
from expclip.errors import UsageError
from expclip.stages.cache import export_store, import_stores, list_cache


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


def lines_of(cache: Cache):
    return list_cache(ListCache(cache=cache.root))


def test_the_list_says_how_far_each_store_is(tmp_path):
    cache = Cache(tmp_path)
    fill(cache, "clip_image", 30, failed=2)
    fill(cache, "query_tokens", 12)
    lines = {line.node: line for line in lines_of(cache)}
    assert (lines["clip_image"].done, lines["clip_image"].failed, lines["clip_image"].rows) == (30, 2, 30)
    assert (lines["query_tokens"].done, lines["query_tokens"].failed) == (12, 0)
    assert all(line.untrained and line.bytes > 30 * 5 * 2 and not line.problem for line in lines.values())


def test_the_list_names_what_cannot_be_read(tmp_path):
    cache = Cache(tmp_path)
    store = fill(cache, "clip_image", 30)
    (store.path / "zarr.json").write_text("{")
    (line,) = lines_of(cache)
    assert line.path == store.path
    assert "remove it and run `expclip extract` again" in line.problem


def test_a_store_is_exported_by_any_part_of_its_name_that_only_it_has(tmp_path):
    cache = Cache(tmp_path / "cache")
    image = fill(cache, "clip_image", 30)
    fill(cache, "query_tokens", 12)

    def export(name: str, file: str):
        return export_store(ExportStore(store=name, file=tmp_path / file, cache=cache.root))

    assert export("clip_im", "a.h5").path == image.path
    assert export(str(image.path), "b.h5").path == image.path
    with pytest.raises(UsageError, match=r"several stores match 'ViT-X': clip_image-.*, query_tokens-"):
        export("ViT-X", "c.h5")
    with pytest.raises(UsageError, match="no store matches 'llm': see `expclip cache list`"):
        export("llm", "c.h5")
    (arrived,) = import_stores(ImportStores(files=tmp_path / "a.h5", cache=tmp_path / "other"))
    assert arrived.path.is_relative_to(tmp_path / "other")
    np.testing.assert_array_equal(arrived.read(), image.read())
