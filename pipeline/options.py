"""How a plan is run."""

import os
from dataclasses import dataclass


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
