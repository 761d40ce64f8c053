"""Run a plan on Dask: one task per shard group, encoders loaded once per worker; receipts travel, features do not."""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager, contextmanager, suppress

import dask.config
from dask.distributed import Client, Future, LocalCluster, as_completed
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker
from distributed.utils import silence_logging_cmgr

from ..cache.receipts import Receipt
from ..errors import ExpclipError, reason
from . import gpu_workers
from .apart import Crew, processes
from .decode import Decoder, decoders
from .events import Emit, RowsEncoded, ShardFinished, ignore
from .executors import RunOptions
from .plan import Plan, Task
from .scheduler import connected
from .sharing import Turns
from .sparing import Loaded
from .work import encode_task

_DECODING_PROCESSES = 2
"""Those of a task on a CPU, whose encoders take most of the time."""
_WORKERLESS_SECONDS = 60
"""How long all workers may be gone: one that died is started again."""
_RESUME = "finished shards stay: run the command again"
_LOST = f"the Dask scheduler does not answer any more: {_RESUME}"

_loaded: dict[tuple[str, bool], Loaded] = {}
"""The encoders of this worker process, by device and whether their batches grow; its threads share them."""
_choosing = threading.Lock()
_crews: dict[tuple[int, int], Crew] = {}
"""The decoding processes of this worker's threads, by thread and number; they stay for its next tasks and end with
it."""


def run(plan: Plan, options: RunOptions, emit: Emit) -> None:
    """Run the tasks on a local cluster, or on the one whose scheduler's address is given.

    A task whose worker dies is given to another one by Dask; a task that fails is not repeated. Raises ExpclipError
    for the first failure, UsageError where no scheduler answers; what runs is cancelled then.
    """
    with (
        _silence("distributed"),
        _silence("asyncio"),
        _client(options, plan) as client,
        Turns(plan.tasks, emit) as turns,
    ):
        watch = _Watch(client, options.device)
        how = options.device, options.rows_per_batch, _decoding_processes(options), options.grows
        futures: dict[Future, Task] = {}

        def begin() -> Iterator[Future]:
            while len(futures) < watch.most and (task := turns.now()) is not None:
                future = client.submit(_run_task, task, *how, pure=False, resources=watch.needed)
                futures[future] = task
                yield future

        try:
            for future in watch.completed(begin, turns):
                task = futures[future]
                receipts = _result(watch, future, task)
                emit(RowsEncoded(task.rows))
                for job, receipt in zip(task.jobs, receipts, strict=True):
                    emit(ShardFinished(task.dataset, job.store.name, receipt))
                turns.done(task)
                del futures[future]
        except (CommClosedError, CancelledError) as error:
            raise ExpclipError(_LOST) from error
        finally:
            with suppress(OSError, TimeoutError):
                client.cancel(list(futures))


def _silence(library: str) -> AbstractContextManager[None]:
    return silence_logging_cmgr(logging.CRITICAL, root=library)


class _Watch:
    """Waits for what workers do, as long as there are any."""

    def __init__(self, client: Client, device: str):
        self._client = client
        self._looked = self._seen = time.monotonic()
        workers = client.scheduler_info(n_workers=-1)["workers"]
        self.needed = gpu_workers.needs(workers, device)
        """What each task needs of its worker for itself."""
        self.most = self._most(workers)
        """How many tasks may be under way."""

    def _most(self, workers: gpu_workers.Workers) -> int:
        """Two for each that runs: the next one is there when one is done, and other processes find some."""
        return 2 * max(1, gpu_workers.tasks_at_once(gpu_workers.able(workers, self.needed), self.needed))

    def completed(self, begin: Callable[[], Iterable[Future]], turns: Turns) -> Iterator[Future]:
        """Futures as they are done, as long as `begin` gives more of them or others have what is left."""
        waiting = as_completed(loop=self._client.loop)
        while True:
            for future in begin():
                waiting.add(future)
            if waiting.has_ready():
                yield from waiting.next_batch(block=False)
            elif not waiting.is_empty():
                time.sleep(0.02)
                self._look()
            elif turns.are_left:
                turns.wait()
            else:
                return

    def result(self, future: Future) -> list[Receipt]:
        """The result of one that is done. Where its worker died meanwhile, the task is done again."""
        while True:
            try:
                return future.result(timeout=1)
            except TimeoutError:
                if future.status == "error":
                    raise
                self._look()

    def _look(self) -> None:
        """Raise ExpclipError where there is no scheduler, or has been no worker for long."""
        now = time.monotonic()
        if now < self._looked + 1:
            return
        self._looked = now
        try:
            workers = self._client.scheduler_info(n_workers=-1)["workers"]
        except (OSError, TimeoutError) as error:
            raise ExpclipError(_LOST) from error
        if gpu_workers.able(workers, self.needed):
            self._seen = now
            self.most = self._most(workers)
        elif now > self._seen + _WORKERLESS_SECONDS:
            raise ExpclipError(f"all Dask workers are gone: {_RESUME}")


def _decoding_processes(options: RunOptions) -> int | None:
    """How many processes decode for a worker: for one of several GPUs as asked for, or its share of the cores.

    None leaves it to the workers of a cluster.
    """
    if not options.device.startswith("cuda") or not (options.gpus or options.scheduler):
        return _DECODING_PROCESSES
    if options.workers is None and options.gpus:
        return min(processes(None), max(_DECODING_PROCESSES, (os.cpu_count() or 1) // len(options.gpus)))
    return options.workers


def _run_task(
    task: Task,
    device: str,
    batch_size: int,
    decoding_processes: int | None = _DECODING_PROCESSES,
    grows: bool = False,
) -> list[Receipt]:
    """On a worker: decode and encode one shard group."""
    with Decoder([task], batch_size, _crew(processes(decoding_processes))) as decoder:
        load = _encoders(device, grows)
        return encode_task(task, decoder.batches(task), load, device, batch_size, ignore)()


def _crew(size: int) -> Crew:
    key = threading.get_ident(), size
    if key not in _crews:
        _crews[key] = decoders(size)
    return _crews[key]


def _encoders(device: str, grows: bool) -> Loaded:
    with _choosing:
        return _loaded.setdefault((device, grows), Loaded(device, grows))


def _result(watch: _Watch, future: Future, task: Task) -> list[Receipt]:
    try:
        return watch.result(future)
    except (ExpclipError, CommClosedError, CancelledError):
        raise
    except Exception as error:
        why = f"{type(error).__name__}: {reason(error)}"
        if isinstance(error, KilledWorker):
            why = f"{error.allowed_failures + 1} workers died of it, for want of memory perhaps"
        raise ExpclipError(f"shard {task.shard} of {task.dataset} failed on Dask ({why}); {_RESUME}") from error


@contextmanager
def _client(options: RunOptions, plan: Plan) -> Iterator[Client]:
    if options.scheduler:
        with connected(options.scheduler, plan, options.device) as client:
            yield client
    else:
        most = len(options.gpus) or options.workers or 2
        with (
            _local_cluster(min(most, max(len(plan.tasks), 1)), options.gpus) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            yield client


def _local_cluster(workers: int, gpus: Sequence[str] = ()) -> LocalCluster:
    """Worker processes on this machine, which together use as many threads as there are cores.

    Where there are GPUs, each worker sees one.
    """
    threads = max(1, (os.cpu_count() or 1) // workers)
    environment = {f"{library}_NUM_THREADS": threads for library in ("OMP", "MKL", "OPENBLAS")}
    on_gpus = {"worker_class": gpu_workers.GpuNanny, "gpus": gpus, "making": asyncio.Lock()} if gpus else {}
    settings = {"nanny.pre-spawn-environ": environment, "scheduler.allowed-failures": 1}
    try:
        with dask.config.set({f"distributed.{name}": value for name, value in settings.items()}):
            return LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                memory_limit=0,  # the models take most of it, and Dask would only kill its workers at a limit
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
                **on_gpus,
            )
    except RuntimeError as error:
        raise ExpclipError(
            f"the Dask workers did not start ({error}): a script that uses them must make its calls "
            f"under `if __name__ == '__main__':`"
        ) from error
