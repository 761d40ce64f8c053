"""How fast is a feature store read into memory, against np.load of the same bytes?

Writes one store and one .npy file per width, reads both in turn from the page cache, and prints ratios.
"""

import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import zarr
from expclip.cache.header import Header
from expclip.cache.keys import digest, store_key
from expclip.cache.store import FeatureStore
from measure import Row, in_turn, parser, show, timed


def make_store(path: Path, features: np.ndarray) -> FeatureStore:
    """A complete store of some features."""
    store = empty_store(path, len(features), features.shape[1:])
    for shard in range(store.header.shards):
        rows = store.header.shard_rows(shard)
        store.write_shard(shard, features[rows.start : rows.stop])
    return store


def empty_store(path: Path, rows: int, row_shape: tuple[int, ...]) -> FeatureStore:
    names = {"dataset": "benchmark", "node": "llm", "model": "none", "rows_digest": digest([])}
    empty = dict.fromkeys(("instruction", "protocol"), "")
    digests = {"encoder_digest": digest({}), "key": store_key({}, digest([]))}
    header = Header(**names, **empty, **digests, untrained=True, spec={}, rows=rows, row_shape=row_shape)
    return FeatureStore.create(path, header)


def main() -> None:
    asked = parser(__doc__, rows=49152, repeats=7)
    asked.add_argument(
        "--width", type=int, action="append", help="may be repeated; 768 and 4096 where it is not given"
    )
    asked.add_argument("--folder", type=Path, help="where to write, if not to the system's temporary folder")
    options = asked.parse_args()
    for width in options.width or (768, 4096):
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            measure(Path(folder), options.rows, width, options.repeats)


def rows(count: int = 49152, repeats: int = 9) -> Iterator[Row]:
    for width in (768, 4096):
        with tempfile.TemporaryDirectory() as folder:
            took = measure(Path(folder), count, width, repeats)
        for way, least in (("store.read", 0.5), ("into a buffer", 0.6)):
            ratio = took["np.load"] / took[way]
            rate = count * width * 2 / took[way] / 1e9
            yield Row(f"{way}, {width:,} numbers a row", f"{rate:.1f} GB/s", "np.load", ratio, least, is_least=True)


def measure(folder: Path, rows: int, width: int, repeats: int) -> dict[str, float]:
    features = np.random.default_rng(0).standard_normal((rows, width), dtype=np.float32).astype(np.float16)
    npy = folder / "features.npy"
    saving, _ = timed(lambda: np.save(npy, features))
    writing, store = timed(lambda: make_store(folder / "store.zarr", features))
    path, buffer = store.path, np.zeros_like(features)
    assert np.array_equal(FeatureStore.open(path).read(), features)
    ways = {
        "np.load": lambda: np.load(npy),
        "store.read": lambda: FeatureStore.open(path).read(),
        "into a buffer": lambda: FeatureStore.open(path).read(into=buffer),
        "zarr alone": lambda: zarr.open_array(path / "features", mode="r")[:],
    }
    took = in_turn(ways, repeats + 1, lambda times: statistics.median(times[1:]))
    print(f"{rows:,} × {width:,} float16, {features.nbytes / 1e6:,.0f} MB, median of {repeats}:")
    show(took, features.nbytes / 1e6, "MB/s")
    print(f"writing the shards with checksums, flushed: {writing:.2f} s; np.save, not flushed: {saving:.2f} s")
    return took


if __name__ == "__main__":
    main()
