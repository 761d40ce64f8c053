"""Several GPUs: each has a worker of Dask that sees it alone, and no two tasks are on one. No GPU has to be there."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from dask.distributed import Client, LocalCluster
from expclip.errors import ExpclipError, UsageError
from expclip.pipeline import gpu_workers, run_dask
from expclip.pipeline.events import ShardFinished
from expclip.pipeline.executors import RunOptions
from fake_encoders import Trouble, calls, image_features, pixels_node
from gpu_of_worker import ENVIRON, VISIBLE, Busy, born_with, has_torch, seen

GPUS = ("GPU-c0ffee", "3", "MIG-0a/1/2")


class TestLocalWorkers:
    """Worker processes have shards of the real size: 2,500 rows are three of them."""

    @pytest.fixture
    def rows(self) -> int:
        return 2500

    @pytest.fixture
    def client(self, monkeypatch):
        monkeypatch.setenv(VISIBLE, "7,8,9")
        with run_dask._local_cluster(3, GPUS) as cluster, Client(cluster, set_as_default=False) as client:
            yield client
        assert os.environ[VISIBLE] == "7,8,9", "this process sees what it saw"

    def test_each_sees_its_own_gpu_from_its_beginning_and_has_one_thread(self, client):
        if ENVIRON.exists():
            assert sorted(client.run(born_with).values()) == sorted([gpu] for gpu in GPUS)
        assert sorted(gpu for gpu, _ in client.run(seen).values()) == sorted(GPUS)
        assert not any(client.run(has_torch).values())
        assert {one["nthreads"] for one in client.scheduler_info()["workers"].values()} == {1}
        assert os.environ[VISIBLE] == "7,8,9"

    def test_one_that_is_started_again_sees_the_same_gpu(self, client):
        first = {process: gpu for gpu, process in client.run(seen).values()}
        for process in first:
            os.kill(process, signal.SIGKILL)
        again: dict[int, str] = {}
        while len(again) < 3:
            time.sleep(0.05)
            told = client.run(seen, on_error="return").values()
            again |= {one[1]: one[0] for one in told if isinstance(one, tuple) and one[1] not in first}
        assert sorted(again.values()) == sorted(first.values()) == sorted(GPUS)

    def test_the_shard_of_a_killed_one_runs_elsewhere(self, run, store_of, log, pixels, capfd):
        image = pixels_node(log, trouble=Trouble(2, "kill"))
        run(image, executor="dask", gpus=GPUS[:2], batch_size=500)
        assert "".join(capfd.readouterr()) == ""
        np.testing.assert_array_equal(store_of(image).read(), image_features(pixels).astype(np.float16))
        assert set(calls(log).gpus) <= set(GPUS[:2])
        assert calls(log).rows["clip_image"] <= 2500 + 1000, "only the interrupted task is repeated"

    def test_there_are_no_more_than_shards(self, run, log):
        run(pixels_node(log), executor="dask", gpus=GPUS, limit=8)
        assert calls(log).gpus == {GPUS[0]: 1}


def test_a_script_that_starts_cuda_when_it_is_imported_sees_its_own_gpu(tmp_path):
    """Dask's workers import the script that begins them, before Dask has a say in them."""
    script = tmp_path / "script.py"
    script.write_text(
        """
import os
from dask.distributed import Client
from expclip.pipeline.run_dask import _local_cluster

FIRST = os.environ.get("CUDA_VISIBLE_DEVICES")

def first():
    import __mp_main__
    return __mp_main__.FIRST

if __name__ == "__main__":
    with _local_cluster(2, ("a", "b")) as cluster, Client(cluster) as client:
        print(*sorted(client.run(first).values()), os.environ.get("CUDA_VISIBLE_DEVICES"))
"""
    )
    without = {name: value for name, value in os.environ.items() if name != VISIBLE}
    ran = subprocess.run([sys.executable, script], env=without, capture_output=True, text=True, timeout=120)
    assert ran.stdout == "a b None\n", ran.stderr


@pytest.mark.parametrize(
    ("gpus", "scheduler", "device", "workers", "expected"),
    [
        (GPUS, None, "cuda", 5, 5),
        (GPUS, None, "cuda", 0, 0),
        (GPUS, None, "cuda", None, 4),
        (GPUS * 100, None, "cuda", None, 2),
        ((), "tcp://host:1", "cuda", None, None),
        ((), "tcp://host:1", "cuda", 6, 6),
        ((), "tcp://host:1", "cpu", 6, 2),
        ((), None, "cuda", 6, 2),
    ],
)
def test_how_many_processes_decode_for_a_worker(monkeypatch, gpus, scheduler, device, workers, expected):
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    assert run_dask._decoding_processes(RunOptions(device, gpus, workers=workers, scheduler=scheduler)) == expected


class TestCluster:
    """Workers of a scheduler, in this process, whose GPUs are declared and not there."""

    @pytest.fixture(autouse=True)
    def small(self, shards_of_eight, monkeypatch):
        monkeypatch.setattr(gpu_workers, "lacks", lambda device: "")
        Busy.most = 0

    @pytest.fixture
    def cluster_of(self):
        made = []

        def make(*resources: dict, threads: int = 4) -> LocalCluster:
            how = {"processes": False, "dashboard_address": ":0", "silence_logs": 50, "threads_per_worker": threads}
            made.append(LocalCluster(n_workers=1, resources=resources[0], **how))
            for more in resources[1:]:
                made[0].worker_spec[len(made[0].worker_spec)] = {
                    "cls": made[0].worker_spec[0]["cls"],
                    "options": made[0].worker_spec[0]["options"] | {"resources": more, "name": None},
                }
            made[0].sync(made[0]._correct_state)
            made[0].wait_for_workers(len(resources))
            return made[0]

        yield make
        for one in made:
            one.close()

    @pytest.fixture
    def busy(self, log):
        return replace(pixels_node(log), load=Busy)

    def test_a_worker_that_declares_a_gpu_has_one_task_at_a_time(
        self, run, store_of, busy, cluster_of, pixels, capfd
    ):
        where = cluster_of({"GPU": 1}).scheduler_address
        run(busy, executor="dask", device="cuda", scheduler=where)
        assert Busy.most == 1
        np.testing.assert_array_equal(store_of(busy).read(), image_features(pixels).astype(np.float16))
        assert capfd.readouterr().err == ""

    def test_on_the_cpu_what_is_declared_is_not_asked_for(self, run, busy, cluster_of):
        run(busy, executor="dask", device="cpu", scheduler=cluster_of({"GPU": 1}).scheduler_address)
        assert Busy.most > 1

    def test_that_a_worker_declares_nothing_and_has_several_tasks_is_a_note(self, run, busy, cluster_of, capfd):
        run(busy, executor="dask", device="cuda", scheduler=cluster_of({}).scheduler_address)
        said = capfd.readouterr().err
        assert "runs 4 tasks at once on cuda: `dask worker … --resources GPU=1` makes that one" in said
        assert said.count("\n") == 1

    def test_a_worker_of_one_thread_needs_to_declare_nothing(self, run, busy, cluster_of, capfd):
        run(busy, executor="dask", device="cuda", scheduler=cluster_of({}, threads=1).scheduler_address)
        assert capfd.readouterr().err == ""

    def test_where_some_declare_a_gpu_the_others_get_nothing(self, run, busy, cluster_of):
        cluster = cluster_of({}, {"GPU": 1})
        heard: list = []
        run(busy, executor="dask", device="cuda", scheduler=cluster.scheduler_address, emit=heard.append)
        done = {name: worker.state.executed_count for name, worker in cluster.workers.items()}
        assert (done[0], done[1]) == (0, len([one for one in heard if isinstance(one, ShardFinished)]))

    @pytest.mark.parametrize("count", [2, 0.5])
    def test_a_worker_that_declares_several_or_less_than_one_is_one_line(self, run, busy, cluster_of, count):
        with pytest.raises(UsageError, match=rf"the worker inproc.* declares GPU={count:g}, and uses one") as error:
            run(busy, executor="dask", device="cuda", scheduler=cluster_of({"GPU": count}).scheduler_address)
        assert "\n" not in str(error.value)

    def test_a_worker_without_the_device_is_one_line_before_any_work(self, run, log, cluster_of, monkeypatch):
        monkeypatch.undo()
        monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
        with pytest.raises(UsageError, match=r"the worker inproc.*: device cuda: torch .* can use none") as error:
            run(pixels_node(log), executor="dask", device="cuda", scheduler=cluster_of({"GPU": 1}).scheduler_address)
        assert "\n" not in str(error.value)
        assert calls(log).batches == {}

    def test_that_all_workers_with_gpus_are_gone_is_one_line(self, run, busy, cluster_of, monkeypatch, capfd):
        monkeypatch.setattr(run_dask, "_WORKERLESS_SECONDS", 0)
        cluster = cluster_of({}, {"GPU": 1})

        def lose(event):
            if isinstance(event, ShardFinished):
                cluster.sync(cluster.workers[1].close, nanny=False)

        with pytest.raises(ExpclipError, match="all Dask workers are gone"):
            run(busy, executor="dask", device="cuda", scheduler=cluster.scheduler_address, emit=lose)
