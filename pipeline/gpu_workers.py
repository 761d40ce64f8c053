"""Dask's workers on GPUs: a local one sees its GPU alone, one elsewhere that declares a GPU has one task on it."""

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from dask.distributed import Nanny
from distributed.core import Status

from ..encoders.dtypes import VISIBLE, resolve_device
from ..errors import UsageError

RESOURCE = "GPU"
"""What a worker of a cluster declares, as Dask's documentation calls it: `dask worker … --resources GPU=1`."""

Workers = Mapping[str, Mapping[str, Any]]
"""What a scheduler knows of its workers, by their addresses."""


class GpuNanny(Nanny):
    """Starts a worker process, and starts it again when it dies; it sees one GPU, the same each time.

    CUDA reads the variable once, and the script that a new process imports may start CUDA: it has to be there before
    the process is. A new process takes over the variables of this one, which are changed while it is made; therefore
    `making` lets only one be made at a time.
    """

    def __init__(self, *arguments: Any, gpus: Sequence[str], making: asyncio.Lock, name: int, **options: Any):
        super().__init__(*arguments, name=name, **options)
        self._gpu, self._making = gpus[name], making

    async def instantiate(self) -> Status:
        """Start the worker process. A cluster calls this at the beginning, and after each death."""
        async with self._making:
            with _sees(self._gpu):
                starting = asyncio.ensure_future(super().instantiate())
                try:
                    while self.pid is None and not starting.done():
                        await asyncio.sleep(0.01)
                except asyncio.CancelledError:
                    starting.cancel()
                    raise
        return await starting


@contextmanager
def _sees(gpu: str) -> Iterator[None]:
    """What is begun meanwhile sees one GPU."""
    before = os.environ.get(VISIBLE)
    os.environ[VISIBLE] = gpu
    try:
        yield
    finally:
        if before is None:
            del os.environ[VISIBLE]
        else:
            os.environ[VISIBLE] = before


def needs(workers: Workers, device: str) -> dict[str, float]:
    """What a task needs of its worker for itself: a GPU, where encoders run on GPUs and any worker declares one."""
    declare = device.startswith("cuda") and any(map(_declared, workers.values()))
    return {RESOURCE: 1} if declare else {}


def able(workers: Workers, needed: Mapping[str, float]) -> Workers:
    """Those workers that may be given tasks."""
    return {where: one for where, one in workers.items() if _declared(one) or not needed}


def tasks_at_once(workers: Workers, needed: Mapping[str, float]) -> int:
    """How many tasks some workers run at once."""
    return sum(1 if needed else one["nthreads"] for one in workers.values())


def unfit(one: Mapping[str, Any], needed: Mapping[str, float]) -> str:
    """Why a worker cannot be given the tasks that it may be given; empty where it can."""
    if needed and _declared(one) != 1:
        return f"declares {RESOURCE}={_declared(one):g}, and uses one: start one for each, with {RESOURCE}=1"
    return ""


def lacks(device: str) -> str:
    """On a worker: why it cannot use a device; empty where it can."""
    try:
        resolve_device(device)
    except UsageError as error:
        return str(error)
    return ""


def _declared(one: Mapping[str, Any]) -> float:
    """How many GPUs a worker declares."""
    return one.get("resources", {}).get(RESOURCE, 0)
