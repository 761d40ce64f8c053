"""The ways in which a plan can be run. They differ only in where `encode_task` is called."""

from collections.abc import Callable

from ..cache.cache import Cache
from .events import Emit, nobody
from .options import RunOptions
from .plan import Plan, Request

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
    for request in requests:
        cache.save_manifest(request.manifest)
    for line in plan.lines:
        if line.to_do:
            cache.create_store(line.header)
    if plan.tasks:
        EXECUTORS[executor](plan, options, emit)
