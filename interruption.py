"""Signals that end a command: each as Ctrl-C does, so that what is finished stays and nothing is left running."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_CTRL_C = 128 + signal.SIGINT
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class Interruption(KeyboardInterrupt):
    """A signal that ends the command."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


def ending(error: KeyboardInterrupt) -> tuple[str, int]:
    """What to say of an interruption, and the exit code."""
    code = error.exit_code if isinstance(error, Interruption) else _CTRL_C
    by = "" if code == _CTRL_C else f" by {error}"
    return f"interrupted{by}. Finished work is kept: run the same command to resume", code


def behind(error: BaseException) -> KeyboardInterrupt | None:
    """The interruption on which an error came, as where a thread that has not started yet is waited for."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, KeyboardInterrupt):
        seen = seen.__cause__ or seen.__context__
    return seen


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """In the block those signals that were not ignored before raise an Interruption, in the main thread.

    An exit in the block has the code of the signal that came first, also where a library made something else of it.
    While what it ends is cleaned up, and until the process is gone, further ones change nothing, but for Ctrl-C,
    which somebody waits for.
    """
    came: list[Interruption] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        is_first = not came
        came.append(Interruption(number))
        if is_first or number == signal.SIGINT:
            raise came[-1]

    numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    heard = [number for number in numbers if before[number] not in (signal.SIG_IGN, None)]
    for number in heard:
        signal.signal(number, interrupt)
    try:
        yield
    except SystemExit as error:
        raise SystemExit(came[0].exit_code if came else error.code) from None
    finally:
        for number in heard:
            is_over = bool(came) and number != signal.SIGINT
            signal.signal(number, signal.SIG_IGN if is_over else before[number])
