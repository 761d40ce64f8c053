"""The ways in which a plan can be run. They differ only in where `encode_task` is called."""

import os
from collections.abc import Callable
from dataclasses import dataclass

from ..cache.cache import Cache
from ..errors import UsageError
from .events import Emit, nobody
from .plan import Plan, Request


@dataclass(frozen=True)
class RunOptions:
    """How to run, which never changes what comes out (but for the last bit of a float)."""

    device: str = "cpu"
    batch_size: int | None = None
    workers: int | None = None
    """Decoding threads of the local executor; worker processes of a local Dask cluster."""
    scheduler: str | None = None
    """Address of a running Dask scheduler."""

    @property
    def rows_a_batch(self) -> int:
        return self.batch_size or (64 if self.device.startswith("cuda") else 32)

    @property
    def threads(self) -> int:
        return self.workers or min(8, os.cpu_count() or 1)


Executor = Callable[[Plan, RunOptions, Emit], None]


def _local(plan: Plan, options: RunOptions, emit: Emit) -> None:
    from .run_local import run

    run(plan, options, emit)


def _dask(plan: Plan, options: RunOptions, emit: Emit) -> None:
    from .run_dask import run

    run(plan, options, emit)


EXECUTORS: dict[str, Executor] = {"local": _local, "dask": _dask}


def run_plan(
    cache: Cache,
    plan: Plan,
    requests: list[Request],
    options: RunOptions,
    executor: str = "local",
    emit: Emit = nobody,
) -> None:
    """Make the stores and the manifests' copies that the plan needs, then run its tasks.

    Finished shards stay whatever happens later. Raises ExpclipError where an encoder or the disk fails.
    """
    if executor not in EXECUTORS:
        raise UsageError(f"--executor {executor!r}: choose {' or '.join(EXECUTORS)}")
    for request in requests:
        if request.manifest.kind != "texts":
            cache.save_manifest(request.manifest)
    for line in plan.lines:
        if line.to_do:
            cache.create_store(line.header)
    if plan.tasks:
        EXECUTORS[executor](plan, options, emit)
