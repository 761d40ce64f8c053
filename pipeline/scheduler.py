"""The Dask that a run is given: whether it is there, has workers, and whether these can do the work."""

import asyncio
import os
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dask.distributed import Client
from distributed.comm.core import connect
from distributed.core import send_recv
from distributed.security import Security
from distributed.utils import LoopRunner
from distributed.versions import VersionMismatchWarning

from ..commands.command import say
from ..errors import UsageError, option, reason
from . import gpu_workers
from .plan import Plan
from .work import versions

_CONNECT_SECONDS = 5
_WORKER_SECONDS = 10
"""How long workers that were just started may take to appear."""


@contextmanager
def connected(address: str, plan: Plan, device: str) -> Iterator[Client]:
    """A client of a running scheduler whose workers can run a plan on a device.

    Raises UsageError within seconds where none answers, where it has no workers, and where a worker has another
    expclip, lacks the device, or does not see the images or the cache.
    """
    _refuse_stranger(address)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VersionMismatchWarning)  # what matters of it is said below
        try:
            client = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise _no_scheduler(address, error) from error
    with client:
        _refuse_unfit_workers(client, address, plan)
        if device != "cpu":
            _refuse_workers_without(client, address, device)
        yield client


def _no_scheduler(address: str, error: BaseException) -> UsageError:
    why = f"none within {_CONNECT_SECONDS} seconds" if isinstance(error, TimeoutError) else reason(error)
    return UsageError(
        f"{option('scheduler')} {address}: no Dask scheduler answers ({why}): give the address that "
        f"`dask scheduler` shows, for example tcp://host:8786"
    )


def _refuse_stranger(address: str) -> None:
    """Raise UsageError where there is no scheduler with workers. A Client would wait for what never answers."""
    runner = LoopRunner()
    runner.start()
    try:
        workers = runner.run_sync(_workers_of, address)
    except Exception as error:  # whatever the other side says, and whatever Dask makes of it
        raise _no_scheduler(address, error) from error
    finally:
        runner.stop()
    if not workers:
        raise UsageError(
            f"{option('scheduler')} {address}: this scheduler has no workers: start some, `dask worker {address}`"
        )


async def _workers_of(address: str) -> Mapping[str, Any]:
    """The workers of a scheduler, as soon as it has any."""
    security = Security().get_connection_args("client")
    comm = await asyncio.wait_for(connect(address, _CONNECT_SECONDS, **security), _CONNECT_SECONDS)
    try:
        last = time.monotonic() + _WORKER_SECONDS
        while True:
            found: Any = await asyncio.wait_for(send_recv(comm, op="identity"), _CONNECT_SECONDS)
            if "workers" not in found:
                raise ValueError(f"this is a {found['type']}")
            if found["workers"] or time.monotonic() > last:
                return found["workers"]
            await asyncio.sleep(0.1)
    finally:
        comm.abort()


def _refuse_unfit_workers(client: Client, address: str, plan: Plan) -> None:
    """Raise UsageError where a worker could not do its tasks; note where its libraries are not those here."""
    roots = sorted({task.root for task in plan.tasks if task.pixel_jobs})
    stores = sorted({str(job.store) for task in plan.tasks for job in task.jobs})
    others: dict[str, str] = {}
    looks: Any = client.run(_look, roots, stores, on_error="return")
    for worker, found in looks.items():
        why = _unfit(found)
        if why:
            raise UsageError(f"{option('scheduler')} {address}: the worker {worker} {why}")
        others |= {name: there for name, there in found[0].items() if there != versions().get(name)}
    if others:
        differ = ", ".join(f"{name} {there} (here {versions().get(name, 'none')})" for name, there in others.items())
        say(f"note: the Dask workers have {differ}")


def _refuse_workers_without(client: Client, address: str, device: str) -> None:
    """Raise UsageError where a worker that gets tasks lacks a device, or has several; note where tasks share one."""
    workers = client.scheduler_info(n_workers=-1)["workers"]
    needed = gpu_workers.needs(workers, device)
    given = gpu_workers.able(workers, needed)
    whys = {where: gpu_workers.unfit(one, needed) for where, one in given.items()}
    if not any(whys.values()):
        told: Any = client.run(gpu_workers.lacks, device, workers=list(given))
        whys |= told
    for worker, why in whys.items():
        if why:
            raise UsageError(f"{option('scheduler')} {address}: the worker {worker}: {why}")
    busy = [where for where, one in given.items() if not needed and one["nthreads"] > 1]
    if busy:
        count = given[busy[0]]["nthreads"]
        alone = f"`dask worker … --resources {gpu_workers.RESOURCE}=1` makes that one"
        say(f"note: the Dask worker {busy[0]} runs {count} tasks at once on {device}: {alone}")


def _look(roots: Sequence[str], stores: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """On a worker: the versions that it has, and what it cannot use of some folders."""
    unseen = [f"does not see {path}" for path in (*roots, *stores) if not Path(path).is_dir()]
    return versions(), unseen or [f"may not write to {path}" for path in stores if not os.access(path, os.W_OK)]


def _unfit(found: Any) -> str:
    """Why a worker cannot do its tasks, from what it says."""
    ours = versions()["expclip"]
    if isinstance(found, Exception):
        return f"cannot load this expclip ({reason(found)}): install expclip {ours} there"
    theirs, unusable = found
    if theirs["expclip"] != ours:
        return f"has expclip {theirs['expclip']}, and this is {ours}: install the same version there"
    if unusable:
        return f"{unusable[0]}: images and cache must have the same paths there as here"
    return ""
