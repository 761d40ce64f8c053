"""Run a plan in this process; images are decoded in others."""

from ..encoders.node import Encoder, Node
from .decode import Decoder, decoders
from .events import Emit
from .executors import RunOptions
from .plan import Plan
from .work import encode_task


def run(plan: Plan, options: RunOptions, emit: Emit) -> None:
    """Run the tasks one after another; images of later tasks are decoded meanwhile."""
    loaded: dict[str, Encoder] = {}

    def load(node: Node) -> Encoder:
        if node.digest not in loaded:
            loaded[node.digest] = node.load(options.device)
        return loaded[node.digest]

    with decoders(options.processes) as crew, Decoder(plan.tasks, options.rows_per_batch, crew) as decoder:
        for task in plan.tasks:
            encode_task(task, decoder.batches(task), load, options.device, options.rows_per_batch, emit)
