"""How fast is a feature store read into memory, against np.load of the same bytes?

    python benchmarks/read_store.py [--rows 49152] [--width 768 --width 4096] [--repeats 7] [--folder DIR]

Writes one store and one .npy file a width, reads both in turn from the page cache, and prints ratios; absolute times
depend on the machine.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import zarr
from expclip.cache.header import Header
from expclip.cache.store import FeatureStore


def make_store(path: Path, features: np.ndarray) -> FeatureStore:
    """A complete store of some features."""
    header = Header(
        dataset="benchmark",
        node="llm",
        model="none",
        instruction="",
        protocol="",
        untrained=True,
        spec={},
        encoder_digest="",
        rows_digest="",
        key="benchmark",
        rows=len(features),
        row_shape=features.shape[1:],
    )
    store = FeatureStore.create(path, header)
    for shard in range(header.shards):
        rows = header.shard_rows(shard)
        store.write_shard(shard, features[rows.start : rows.stop])
    return store


def seconds(run) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=49152)
    parser.add_argument("--width", type=int, action="append")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="Where to write; by default the system's temporary folder.")
    options = parser.parse_args()
    for width in options.width or (768, 4096):
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            measure(Path(folder), options.rows, width, options.repeats)


def measure(folder: Path, rows: int, width: int, repeats: int) -> None:
    features = np.random.default_rng(0).standard_normal((rows, width), dtype=np.float32).astype(np.float16)
    npy = folder / "features.npy"
    saving = seconds(lambda: np.save(npy, features))
    stores: list[FeatureStore] = []
    writing = seconds(lambda: stores.append(make_store(folder / "store.zarr", features)))
    path = stores[0].path
    assert np.array_equal(FeatureStore.open(path).read(), features)
    ways = {
        "np.load": lambda: np.load(npy),
        "store.read": lambda: FeatureStore.open(path).read(),
        "zarr alone": lambda: zarr.open_array(path / "features", mode="r")[:],
    }
    times = {name: [] for name in ways}
    for _ in range(repeats + 1):
        for name, run in ways.items():
            times[name].append(seconds(run))
    median = {name: statistics.median(some[1:]) for name, some in times.items()}
    print(f"{rows:,} × {width:,} float16, {features.nbytes / 1e6:,.0f} MB, median of {repeats}:")
    for name, took in median.items():
        print(f"  {name:10}  {took * 1e3:7.1f} ms  {median['np.load'] / took:5.2f} × np.load")
    print(f"  writing the shards with checksums, flushed: {writing:.2f} s; np.save, not flushed: {saving:.2f} s")


if __name__ == "__main__":
    main()
