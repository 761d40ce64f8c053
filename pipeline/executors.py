"""Running a plan. The ways to run one differ only in where `encode_task` is called."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..cache.cache import Cache
from ..cache.store import FeatureStore
from ..commands.options import EXECUTORS
from ..lazy import load
from ..manifests.limits import MAX_PIXELS
from .events import Emit, ignore
from .plan import Plan, Wanted

_USUAL = 32
"""Rows that an encoder sees at once."""
_MOST_GROWN = 512
"""Rows in a batch where encoders find out how many of them they take at once."""


@dataclass(frozen=True)
class RunOptions:
    """How to run, which never changes what comes out (but for the last bit of a float)."""

    device: str = "cpu"
    """Where encoders run; resolved when a plan is run."""
    gpus: tuple[str, ...] = ()
    """Where each of several GPUs has a worker of a local Dask cluster: CUDA_VISIBLE_DEVICES of each."""
    batch_size: int | None = None
    workers: int | None = None
    """Decoding processes of the local executor or of each GPU, 0 for none; else workers of a local Dask cluster."""
    executor: str = "local"
    scheduler: str | None = None
    """Address of a running Dask scheduler."""
    max_pixels: int = MAX_PIXELS
    """Images of more pixels are not decoded; their rows fail, and are tried again under a larger limit."""

    @property
    def rows_per_batch(self) -> int:
        return self.batch_size or (_MOST_GROWN if self.grows else _USUAL)

    @property
    def grows(self) -> bool:
        """Whether encoders find out how many rows they take at once: on a CPU nothing is gained by more."""
        return self.batch_size is None and self.device.startswith("cuda")

    @property
    def processes(self) -> int:
        from .apart import processes

        return processes(self.workers)


def run_plan(
    cache: Cache, plan: Plan, wanted: Sequence[Wanted], options: RunOptions | None = None, emit: Emit = ignore
) -> None:
    """Make the stores and the manifests' copies that the plan needs, then run its tasks.

    Finished shards stay whatever happens later. Raises ExpclipError where an encoder or the disk fails.
    """
    options = options or RunOptions()
    cache.mark()
    cache.tidy([line.path for line in plan.lines])
    for one in wanted:
        cache.save_manifest(one.manifest)
    for line in plan.lines:
        if line.to_do or line.copied:
            FeatureStore.create(line.path, line.header)
    if plan.tasks:
        load(EXECUTORS[options.executor])(plan, options, emit)
