"""A store is an ordinary zarr v3 group: other programs read it without this package."""

import warnings

import numpy as np
import xarray
import zarr


def test_plain_zarr(store, fill, features):
    fill(store, failed=[5])
    group = zarr.open_group(store.path, mode="r")
    values = np.asarray(group["features"])
    assert np.isnan(values[5]).all()
    np.testing.assert_array_equal(np.delete(values, 5, 0), np.delete(features, 5, 0))
    assert group.attrs["encoder_digest"] == store.header.encoder_digest
    assert group.attrs["spec"] == store.header.spec
    array = zarr.open_array(store.path / "features", mode="r")
    assert array.shards == (8, 3)
    assert array.dtype == np.float16


def test_xarray(store, fill, features):
    fill(store)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opened = xarray.open_zarr(store.path, consolidated=False)
    assert opened.features.dims == ("row", "embedding")
    np.testing.assert_array_equal(opened.features.values, features)
    assert opened.attrs["model"] == "ViT-X"


def test_xarray_names_the_dimensions_of_query_tokens(tmp_path, header):
    from expclip.cache.store import FeatureStore

    store = FeatureStore.create(tmp_path / "x-0.zarr", header(row_shape=(4, 6)))
    store.write_shard(0, np.ones((8, 4, 6)))
    opened = xarray.open_zarr(store.path, consolidated=False)
    assert dict(opened.features.sizes) == {"row": 20, "token": 4, "embedding": 6}
    assert float(opened.features[0].sum()) == 24
