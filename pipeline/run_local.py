"""Run a plan in this process; images are decoded in others."""

from concurrent.futures import Future, ThreadPoolExecutor

from .decode import Decoder, decoders
from .events import Emit
from .executors import RunOptions
from .plan import Plan, Task
from .sharing import Turns
from .sparing import Loaded
from .work import Write, encode_task


def run(plan: Plan, options: RunOptions, emit: Emit) -> None:
    """Run the tasks one after another; images of later tasks are decoded meanwhile, and those before are written."""
    load = Loaded(options.device, options.grows)
    with (
        Turns(plan.tasks, emit) as turns,
        ThreadPoolExecutor(1, thread_name_prefix="write") as writer,
        decoders(options.processes) as crew,
        Decoder(turns.ahead(), options.rows_per_batch, crew) as decoder,
    ):

        def finish(task: Task, write: Write) -> None:
            write()
            turns.done(task)

        writing: Future[None] | None = None
        for task in turns:
            batches = decoder.batches(task)
            write = encode_task(task, batches, load, options.device, options.rows_per_batch, emit)
            if writing:
                writing.result()  # memory holds one shard that is written and one that is made
            writing = writer.submit(finish, task, write)
        if writing:
            writing.result()
