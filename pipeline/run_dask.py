"""Run a plan on Dask: one task a shard group, encoders loaded once a worker, receipts travel and features do not."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from dask.distributed import Client, LocalCluster, as_completed

from ..cache.receipts import Receipt
from ..encoders.node import Encoder, Node
from ..errors import ExpclipError, UsageError
from .decode import Decoder
from .events import Emit, RowsEncoded, ShardFinished, nobody
from .executors import RunOptions
from .plan import Plan, Task
from .work import encode_task

_CONNECT_SECONDS = 20

_loaded: dict[tuple[str, str], Encoder] = {}
"""The encoders of this worker process, by encoder digest and device."""


def run(plan: Plan, options: RunOptions, emit: Emit) -> None:
    """Run the tasks on a local cluster, or on the one whose scheduler's address is given."""
    with _client(options, len(plan.tasks)) as client:
        futures = {
            client.submit(_run_task, task, options.device, options.rows_a_batch, pure=False): task
            for task in plan.tasks
        }
        try:
            for future in as_completed(futures):
                task = futures[future]
                receipts: list[Receipt] = _result(future, task)
                emit(RowsEncoded(task.rows))
                for job, receipt in zip(task.jobs, receipts, strict=True):
                    emit(ShardFinished(task.dataset, job.store.name, receipt))
        finally:
            client.cancel(list(futures))


def _run_task(task: Task, device: str, batch_size: int) -> list[Receipt]:
    """On a worker: decode and encode one shard group."""

    def load(node: Node) -> Encoder:
        key = (node.digest, device)
        if key not in _loaded:
            _loaded[key] = node.load(device)
        return _loaded[key]

    with Decoder([task], batch_size, workers=2) as decoder:
        return encode_task(task, decoder.batches(task), load, device, batch_size, nobody)


def _result(future, task: Task) -> list[Receipt]:
    try:
        return future.result()
    except (ExpclipError, OSError):
        raise
    except Exception as error:
        raise ExpclipError(
            f"shard {task.shard} of {task.dataset} failed on a Dask worker ({type(error).__name__}: {error}); "
            f"finished shards stay: run the command again"
        ) from error


@contextmanager
def _client(options: RunOptions, tasks: int) -> Iterator[Client]:
    if options.scheduler:
        try:
            client = Client(options.scheduler, timeout=_CONNECT_SECONDS)
        except (OSError, ValueError) as error:
            raise UsageError(f"--scheduler {options.scheduler}: no Dask scheduler answers ({error})") from error
        with client:
            yield client
        return
    workers = min(options.workers or 2, max(tasks, 1))
    threads = max(1, (os.cpu_count() or 1) // workers)
    environment = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    with (
        _environment(environment),
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address="", silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        yield client


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Worker processes inherit these, so that together they use as many threads as there are cores."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
