"""The promise of the whole: begun in one process, killed, finished by others, and the same as never interrupted."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from expclip.cache.cache import Cache
from lab import Lab

NODES = ("clip_image", "query_tokens", "llm")
WANTED = {"clip": "miniature", "teacher": "miniature", "features": NODES, "batch_size": 64}


@pytest.fixture
def rows() -> int:
    """Three shards of the real size."""
    return 2500


@pytest.fixture(autouse=True)
def one_thread_everywhere(monkeypatch):
    """The number of threads may change the last bit of a sum."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def killed_after_a_shard(folder: Path, cache: Cache) -> None:
    """Run `expclip extract` and kill it as soon as every store has a finished shard."""
    command = [sys.executable, "-m", "expclip", "extract", str(folder), "--cache", str(cache.root)]
    command += ["--clip", "miniature", "--teacher", "miniature", "--device", "cpu", "--batch-size", "64"]
    command += [part for node in NODES for part in ("--features", node)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    while len(list(cache.root.glob("*/*.receipts/00000.json"))) < len(NODES):
        assert process.poll() is None, process.communicate()
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def shard_times(cache: Cache) -> dict[Path, int]:
    """When the files of the finished shards and their receipts were written."""
    return {
        path: path.stat().st_mtime_ns
        for store in cache.stores()
        for shard in store.receipts.read()
        for path in (store.receipts.path(shard), *(store.path / "features" / "c" / str(shard)).rglob("0"))
        if path.is_file()
    }


def test_begun_alone_killed_and_finished_by_two_workers(folder, pixels, tmp_path, capfd):
    caches = {name: Cache(tmp_path / name) for name in ("killed", "uninterrupted")}
    Lab(caches["uninterrupted"].root).extract(folder, **WANTED)

    killed_after_a_shard(folder, caches["killed"])
    finished = shard_times(caches["killed"])
    done = {store.header.node: store.rows_done() for store in caches["killed"].stores()}
    assert set(done) == set(NODES)
    assert all(1024 <= count < 2500 for count in done.values())
    capfd.readouterr()
    resumed = Lab(caches["killed"].root).extract(folder, executor="dask", workers=2, **WANTED)
    said = "".join(capfd.readouterr()).splitlines()
    assert [line.split(":")[0] for line in said] == ["extract"], "Dask has nothing to say to a user"

    assert resumed.encoded == 3 * 2500 - sum(done.values())
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    for whole in caches["uninterrupted"].stores():
        store = caches["killed"].open_store(whole.header)
        assert store is not None
        assert store.is_complete()
        np.testing.assert_array_equal(store.read(), whole.read())
