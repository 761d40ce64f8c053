"""Dask computes the same as one process, however its workers fare, and says nothing on the terminal."""

import gc
import os
import pickle
import socket
import socketserver
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from dask.distributed import LocalCluster
from expclip.errors import ExpclipError, UsageError
from expclip.manifests.readers import read_plain_folder
from expclip.pipeline import run_dask, scheduler
from expclip.pipeline.events import RowsEncoded, ShardFinished
from expclip.pipeline.plan import Portion, Wanted, make_plan
from fake_encoders import (
    GATE,
    Trouble,
    calls,
    image_features,
    language_features,
    language_node,
    pixels_node,
    token_features,
)


@pytest.fixture
def one_thread(shards_of_eight):
    """The address of a scheduler with one worker thread in this process, which knows of the small shards."""
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0", silence_logs=50
    ) as cluster:
        yield cluster


class TestWorkerProcesses:
    """Worker processes have shards of the real size: 2,500 rows are three of them."""

    @pytest.fixture
    def rows(self) -> int:
        return 2500

    def test_two_workers_compute_what_one_process_computes(self, run, store_of, log, pixels, capfd):
        image, tokens = pixels_node(log), pixels_node(log, "query_tokens")
        language = language_node(log, tokens)
        heard: list = []
        plan = run(image, tokens, language, executor="dask", workers=2, batch_size=500, emit=heard.append)
        assert "".join(capfd.readouterr()) == ""
        np.testing.assert_array_equal(store_of(image).read(), image_features(pixels).astype(np.float16))
        stored = token_features(pixels).astype(np.float16)
        np.testing.assert_array_equal(store_of(tokens).read(), stored)
        np.testing.assert_array_equal(store_of(language).read(), language_features(stored, 1.0).astype(np.float16))
        told = calls(log)
        assert told.rows == {"clip_image": 2500, "query_tokens": 2500, "llm-one": 2500}
        assert told.loads.total() == len(told.processes), "an encoder is loaded once a process"
        assert len({process for _, process in told.processes}) == 2
        assert sum(event.rows for event in heard if isinstance(event, RowsEncoded)) == plan.rows == 7500
        assert len([event for event in heard if isinstance(event, ShardFinished)]) == 9

    def test_the_task_of_a_killed_worker_is_given_to_another_one(self, run, store_of, log, pixels, capfd):
        image = pixels_node(log, trouble=Trouble(2, "kill"))
        run(image, executor="dask", workers=1, batch_size=500)
        assert "".join(capfd.readouterr()) == ""
        np.testing.assert_array_equal(store_of(image).read(), image_features(pixels).astype(np.float16))
        assert calls(log).loads == {"clip_image": 2}
        assert calls(log).rows["clip_image"] in (2500 + 1000, 2500 + 548), "only the interrupted task is repeated"


def test_only_receipts_come_back(cache, log, folder, pixels, shards_of_eight):
    wanted = [Wanted(read_plain_folder("pictures", folder), (pixels_node(log, "query_tokens"),))]
    plan = make_plan(cache, wanted, Portion(), "cpu")
    cache.create_store(plan.lines[0].header)
    receipts = run_dask._run_task(plan.tasks[0], "cpu", 3)
    assert receipts == list(next(cache.stores()).receipts.read().values())
    assert len(pickle.dumps(receipts)) < 2000


def test_what_an_encoder_does_wrong_is_one_line_and_not_repeated(run, store_of, log, one_thread, capfd):
    bad = pixels_node(log, trouble=Trouble(2, "nan"))
    with pytest.raises(ExpclipError, match=r"gave NaN or infinity for 00005.png \(row 5\)") as error:
        run(bad, limit=8, executor="dask", scheduler=one_thread.scheduler_address)
    assert "\n" not in str(error.value)
    assert calls(log).batches == {"clip_image": 2}
    assert "".join(capfd.readouterr()) == ""
    assert store_of(bad).rows_done() == 0


def test_any_other_error_of_a_worker_is_one_line_and_not_repeated(run, log, one_thread, capfd):
    broken = pixels_node(log, trouble=Trouble(1, "error"))
    with pytest.raises(ExpclipError, match=r"shard 0 of pictures failed on Dask \(ValueError: the encoder"):
        run(broken, limit=8, executor="dask", scheduler=one_thread.scheduler_address)
    assert calls(log).batches == {"clip_image": 1}
    assert "".join(capfd.readouterr()) == ""


def test_what_was_finished_before_an_error_is_not_repeated(run, store_of, log, pixels, one_thread):
    with pytest.raises(ExpclipError):
        run(
            pixels_node(log, trouble=Trouble(2, "nan")),
            limit=16,
            executor="dask",
            scheduler=one_thread.scheduler_address,
            batch_size=8,
        )
    assert store_of(pixels_node(log)).rows_done() == 8
    before = calls(log).rows["clip_image"]
    run(pixels_node(log), executor="local")
    assert calls(log).rows["clip_image"] - before == 20 - 8
    np.testing.assert_array_equal(store_of(pixels_node(log)).read(), image_features(pixels).astype(np.float16))


def test_an_interruption_cancels_what_is_not_begun(run, store_of, log, one_thread):
    def interrupt(event):
        if isinstance(event, ShardFinished):
            raise KeyboardInterrupt

    GATE.clear()
    try:
        with pytest.raises(KeyboardInterrupt):
            run(
                pixels_node(log, trouble=Trouble(2, "wait")),
                executor="dask",
                scheduler=one_thread.scheduler_address,
                batch_size=8,
                emit=interrupt,
            )
        while one_thread.scheduler.tasks or one_thread.workers[0].state.ready:
            time.sleep(0.01)
    finally:
        GATE.set()
    while one_thread.workers[0].state.executing:
        time.sleep(0.01)
    assert calls(log).batches["clip_image"] <= 2
    assert len(store_of(pixels_node(log)).receipts.read()) in (1, 2)


@pytest.mark.parametrize(
    "address",
    [
        *("tcp://127.0.0.1:1", "tcp://127.0.0.1:x", "tcp://", "no address", "nowhere://x:1", "http://127.0.0.1:1"),
        *("tls://127.0.0.1:1", "ucx://127.0.0.1:1", "inproc://", "inproc://1/2/3", ":::::"),
    ],
)
def test_a_scheduler_that_does_not_answer_is_one_line(run, cache, log, monkeypatch, capfd, address):
    monkeypatch.setattr(scheduler, "_CONNECT_SECONDS", 0.5)
    with pytest.raises(UsageError, match=f"scheduler {address}: no Dask scheduler answers") as error:
        run(pixels_node(log), executor="dask", scheduler=address)
    assert "\n" not in str(error.value)
    assert calls(log).decodes == 0
    gc.collect()  # a client that was left half made would complain now
    assert "".join(capfd.readouterr()) == ""


class Says(socketserver.BaseRequestHandler):
    """Answers whatever comes with the same bytes, and keeps the line."""

    words = b""

    def handle(self):
        self.request.sendall(self.words)
        while self.request.recv(4096):
            pass


@pytest.mark.parametrize("words", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes(range(256)) * 64, bytes(4096)])
def test_something_else_behind_the_address_is_one_line(run, log, monkeypatch, capfd, words):
    monkeypatch.setattr(scheduler, "_CONNECT_SECONDS", 0.5)
    handler = type("Handler", (Says,), {"words": words})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(UsageError, match="no Dask scheduler answers") as error:
            run(pixels_node(log), executor="dask", scheduler=f"tcp://127.0.0.1:{server.server_address[1]}")
        server.shutdown()
    assert "\n" not in str(error.value)
    assert "".join(capfd.readouterr()) == ""


def test_a_scheduler_without_workers_is_one_line(run, log, monkeypatch, capfd):
    monkeypatch.setattr(scheduler, "_WORKER_SECONDS", 0.2)
    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address=":0", silence_logs=50) as cluster,
        pytest.raises(UsageError, match="this scheduler has no workers: start some, `dask worker inproc"),
    ):
        run(pixels_node(log), executor="dask", scheduler=cluster.scheduler_address)
    assert "".join(capfd.readouterr()) == ""


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (({"expclip": "0.0.1"}, []), r"has expclip 0.0.1, and this is .*: install the same"),
        (({}, ["does not see /data"]), r"does not see /data: images and cache must have the same paths"),
        (ModuleNotFoundError("No module named 'expclip'"), r"cannot load this expclip \(No module"),
    ],
)
def test_workers_that_cannot_do_the_work_are_told_before_it(run, log, one_thread, monkeypatch, capfd, found, why):
    def look(roots, stores):
        if isinstance(found, Exception):
            raise found
        return scheduler.versions() | found[0], found[1]

    monkeypatch.setattr(scheduler, "_look", look)
    with pytest.raises(UsageError, match=f"the worker inproc://[^ ]* {why}") as error:
        run(pixels_node(log), executor="dask", scheduler=one_thread.scheduler_address)
    assert "\n" not in str(error.value)
    assert calls(log).batches == {}
    assert "".join(capfd.readouterr()) == ""


def test_other_libraries_of_the_workers_are_a_note(run, log, one_thread, monkeypatch, capfd):
    here = scheduler.versions()["pillow"]
    monkeypatch.setattr(scheduler, "_look", lambda roots, stores: (scheduler.versions() | {"pillow": "1.0"}, []))
    run(pixels_node(log), executor="dask", scheduler=one_thread.scheduler_address)
    assert capfd.readouterr().err == f"note: the Dask workers have pillow 1.0 (here {here})\n"


def test_a_worker_looks_for_folders_and_whether_it_may_write(tmp_path):
    assert scheduler._look([str(tmp_path)], [str(tmp_path)])[1] == []
    missing = [f"does not see {tmp_path / name}" for name in ("images", "store")]
    assert scheduler._look([str(tmp_path / "images")], [str(tmp_path / "store")])[1] == missing


WITHOUT = """
import sys

class Without:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "expclip":
            raise ModuleNotFoundError("No module named 'expclip'", name="expclip")

sys.meta_path.insert(0, Without())
"""


def test_a_real_worker_without_expclip_is_one_line(run, log, tmp_path, monkeypatch, capfd):
    (tmp_path / "without").mkdir()
    (tmp_path / "without/sitecustomize.py").write_text(WITHOUT)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "without"))
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as cluster,
        pytest.raises(UsageError, match=r"cannot load this expclip \(.*No module named 'expclip'") as error,
    ):
        run(pixels_node(log), executor="dask", scheduler=cluster.scheduler_address)
    assert "\n" not in str(error.value)
    assert calls(log).batches == {}


class TestLost:
    """A cluster of other processes, of which one is killed when a shard is finished."""

    @pytest.fixture
    def rows(self) -> int:
        return 2500

    @pytest.fixture
    def cluster(self, monkeypatch):
        path = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, path)))
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        address = f"tcp://127.0.0.1:{port}"
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        words = {
            "scheduler": ["scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"],
            "worker": ["worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard"],
        }
        ran = {name: subprocess.Popen([sys.executable, "-m", "dask", *some], **quiet) for name, some in words.items()}
        yield address, ran
        for process in ran.values():
            process.kill()
            process.wait()

    @pytest.mark.parametrize(
        ("who", "said"),
        [("scheduler", "scheduler does not answer any more"), ("worker", "all Dask workers are gone")],
    )
    def test_who_is_lost_in_the_middle_is_one_line_and_finished_shards_stay(
        self, run, store_of, log, cluster, monkeypatch, capfd, who, said
    ):
        monkeypatch.setattr(scheduler, "_CONNECT_SECONDS", 60)
        monkeypatch.setattr(scheduler, "_WORKER_SECONDS", 60)
        monkeypatch.setattr(run_dask, "_WORKERLESS_SECONDS", 1)
        address, ran = cluster

        def kill(event):
            if isinstance(event, ShardFinished):
                ran[who].kill()

        with pytest.raises(ExpclipError, match=said) as error:
            run(pixels_node(log), executor="dask", scheduler=address, batch_size=8, emit=kill)
        assert "\n" not in str(error.value)
        assert "".join(capfd.readouterr()) == ""
        done = store_of(pixels_node(log)).rows_done()
        assert done >= 1024
        run(pixels_node(log))
        assert store_of(pixels_node(log)).is_complete()


def test_a_script_without_main_guard_is_told_so(folder, pixels, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from expclip.cache.cache import Cache
from expclip.errors import ExpclipError
from expclip.manifests.readers import read_plain_folder
from expclip.pipeline.executors import RunOptions, run_plan
from expclip.pipeline.plan import Portion, Wanted, make_plan
from fake_encoders import pixels_node

cache = Cache(Path({str(tmp_path / "cache")!r}))
wanted = [Wanted(read_plain_folder("pictures", Path({str(folder)!r})), (pixels_node(Path("log")),))]
try:
    run_plan(cache, make_plan(cache, wanted, Portion(), "cpu"), wanted, RunOptions(executor="dask"))
except ExpclipError as error:
    print(error)
"""
    )
    ran = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert "under `if __name__ == '__main__':`" in ran.stdout.splitlines()[-1]
    assert "Traceback" not in ran.stderr
