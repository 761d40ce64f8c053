"""A process that is killed between any two accesses to the disk leaves a store that tells the truth."""

import json
import subprocess
import sys
from dataclasses import asdict

import numpy as np
from expclip.cache.store import FeatureStore

# Each child makes a store, writes the first rows of its shard and then all of them, and dies without a chance to
# clean up at its n-th access to the disk. The last child survives.
SCRIPT = """
import os, sys, threading
from dataclasses import replace
from pathlib import Path
import numpy as np
import zarr, zarr.codecs  # else each child imports them, and dies of that
import expclip.cache.header
from expclip.cache.header import parse_header
from expclip.cache.store import FeatureStore

expclip.cache.header.SHARD_ROWS = 8
root, header = Path(sys.argv[1]), parse_header(sys.argv[2])
features = np.load(root / "features.npy")
accesses, lock, die_at = 0, threading.Lock(), None

def count(event, arguments):
    global accesses
    if die_at is not None and event in ("open", "os.rename", "os.remove", "os.mkdir", "os.listdir"):
        with lock:
            accesses += 1
            if accesses == die_at:
                os._exit(9)

sys.addaudithook(count)
for n in range(1, 1000):
    child = os.fork()
    if not child:
        die_at = n
        store = FeatureStore.create(root / str(n) / "x-0.zarr", header)
        store.write_shard(0, features[:3])
        store.write_shard(0, features)
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
        print(n)
        break
"""


def test_killed_at_any_access_to_the_disk(tmp_path, header, features):
    header, features = header(rows=8), features[:8]
    np.save(tmp_path / "features.npy", features)
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), json.dumps(asdict(header))]
    survived = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    rows_done = []
    for n in range(1, survived + 1):
        path = tmp_path / str(n) / "x-0.zarr"
        store = FeatureStore.create(path, header)
        rows_done.append(store.rows_done())
        np.testing.assert_array_equal(store.read()[: rows_done[-1]], features[: rows_done[-1]])
        store.write_shard(0, features)
        np.testing.assert_array_equal(FeatureStore.open(path).read(), features)
        assert FeatureStore.open(path).is_complete()
    first_of = [rows_done.index(count) for count in (0, 3, 8)]
    assert first_of == sorted(first_of)
    assert 0 in rows_done[first_of[1] :], "the receipt of 3 rows must go before the shard is replaced"
