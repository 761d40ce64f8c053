"""Doing a command, and how it ends."""

from collections.abc import Callable

from ..errors import ExpclipError
from ..interruption import behind, ending
from ..reports.console import complain, print_json
from .command import Command
from .request import Request


def run(one: Command, request: Callable[[], Request], as_json: bool = False) -> int:
    """Do a command and show its answer; returns the exit code. A user's mistake is one line without a traceback."""
    try:
        answer = one.do(asked_for := request())
        if as_json and one.document:
            print_json(one.document(asked_for, answer))
        else:
            one.show(asked_for, answer)
        return one.ending(asked_for, answer)
    except (Exception, KeyboardInterrupt) as error:
        return _ended(error)


def _ended(error: BaseException) -> int:
    """Say how a command ended; returns the exit code. Raises what is nobody's mistake but ours."""
    interruption = behind(error)
    if interruption:
        line, code = ending(interruption)
        complain(line)
        return code
    if isinstance(error, ExpclipError):
        complain(f"error: {error.as_typed}")
        return error.exit_code
    if not isinstance(error, MemoryError) and not (isinstance(error, RuntimeError) and "out of memory" in str(error)):
        raise error
    complain("error: out of memory: give a smaller --batch-size, or a smaller model")
    return ExpclipError.exit_code
