"""The tasks of a plan in the order in which one process of several gets them: what others make now comes last."""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from ..cache.claims import Claims, claimant
from ..cache.store import FeatureStore
from ..reports.console import say
from .events import Emit, RowsEncoded
from .plan import Job, Task

_LOOK_SECONDS = 0.2
_LOOKED_AT = 64
"""Tasks that are looked at in one go: there may be many that others have."""


class Turns:
    """Hands out tasks, claimed, without what others have finished meanwhile. To be used as a context manager."""

    def __init__(self, tasks: Iterable[Task], emit: Emit):
        self._waiting = deque(tasks)
        self._emit = emit
        self._claims = Claims()
        self._taken: deque[Task] = deque()
        """Tasks that were not handed out yet."""
        self._to_show: deque[Task] = deque()
        """Those that `ahead` did not show yet."""
        self._has_said = False

    def __enter__(self) -> "Turns":
        self._claims.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._claims.__exit__()

    def __iter__(self) -> Iterator[Task]:
        """Tasks until none is left. Waits for those that others have: they may never finish them."""
        while True:
            task = self.now()
            if task is not None:
                yield task
            elif self._waiting:
                self.wait()
            else:
                return

    def ahead(self) -> Iterator[Task | None]:
        """The same tasks in the same order, before they are handed out; None where none can be had now."""
        while True:
            if not self._to_show:
                self._take()
            yield self._to_show.popleft() if self._to_show else None

    def now(self) -> Task | None:
        """The next task, if one can be had now."""
        if not self._taken:
            self._take()
        return self._taken.popleft() if self._taken else None

    @property
    def are_left(self) -> bool:
        """Whether there are tasks that were not handed out, which others may have."""
        return bool(self._taken or self._waiting)

    def wait(self) -> None:
        """Wait a little for others."""
        if not self._has_said and self._waiting:
            self._has_said = True
            who = next(filter(None, map(claimant, _claims(self._waiting[0]))), "another process")
            say(f"note: waiting for what {who} makes")
        time.sleep(_LOOK_SECONDS)

    def done(self, task: Task) -> None:
        """A task that was handed out is done."""
        self._claims.give_back(_claims(task))

    def _take(self) -> None:
        for _ in range(min(_LOOKED_AT, len(self._waiting))):
            task = self._waiting.popleft()
            if _left(task) is not None and not self._claims.take(_claims(task)):
                self._waiting.append(task)
                continue
            left = _left(task)
            rows = task.rows - (left.rows if left else 0)
            if rows > 0:  # others did them
                self._emit(RowsEncoded(rows))
            if left is None:
                self.done(task)
                continue
            self._taken.append(left)
            self._to_show.append(left)
            return


def _claims(task: Task) -> list[Path]:
    return [FeatureStore.open(job.store).receipts.claim(task.shard) for job in task.jobs]


def _left(task: Task) -> Task | None:
    """What is still missing of a task; None where nothing is."""
    jobs = tuple(job for one in task.jobs if (job := _still(task, one)) is not None)
    return replace(task, jobs=jobs) if jobs else None


def _still(task: Task, job: Job) -> Job | None:
    receipt = FeatureStore.open(job.store).whole(task.shard)
    if receipt is None:
        return replace(job, start=task.first, again=())
    failed = {one.row for one in receipt.failed}
    start, again = task.first + receipt.rows, tuple(row for row in job.again if row in failed)
    return replace(job, start=start, again=again) if start < task.stop or again else None
