"""Run a plan in this process; images are decoded in others."""

from ..encoders.node import Encoder, Node
from . import sparing
from .decode import Decoder, decoders
from .events import Emit
from .executors import RunOptions
from .plan import Plan
from .sharing import Turns
from .work import encode_task


def run(plan: Plan, options: RunOptions, emit: Emit) -> None:
    """Run the tasks one after another; images of later tasks are decoded meanwhile."""
    loaded: dict[str, Encoder] = {}

    def load(node: Node) -> Encoder:
        if node.digest not in loaded:
            loaded[node.digest] = sparing.load(node, options.device)
        return loaded[node.digest]

    with (
        Turns(plan.tasks, emit) as turns,
        decoders(options.processes) as crew,
        Decoder(turns.ahead(), options.rows_per_batch, crew) as decoder,
    ):
        for task in turns:
            encode_task(task, decoder.batches(task), load, options.device, options.rows_per_batch, emit)
            turns.done(task)
