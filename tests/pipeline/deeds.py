"""What processes of a crew are made to do."""

import os
import signal
import time
from pathlib import Path

import numpy as np
from expclip.encoders.turns import take_turn
from expclip.errors import UsageError, option


def square(number: int) -> int:
    return number * number


def die_at(number: int, fatal: int, how: str) -> int:
    """Dies by a signal, or by leaving, at one number."""
    if number == fatal and how == "exit":
        os._exit(7)
    if number == fatal:
        os.kill(os.getpid(), getattr(signal, how))
    return number


def whoami(number: int) -> int:
    print("this is no answer", flush=True)
    os.write(1, b"nor is this")
    return os.getpid()


def refuse(number: int) -> int:
    if number == 2:
        raise UsageError(f"{option('batch_size')} 2 is odd")
    return number


class UnpicklableError(Exception):
    def __init__(self, one, other):
        super().__init__(f"{one} and {other}")


def refuse_strangely(number: int) -> int:
    raise UnpicklableError("this", "that")


def large(log: Path, side: int, dies: bool = False) -> None:
    """Notes when a picture of some size is begun and done with."""
    take_turn(side, side)
    take_turn(side, side)
    with log.open("a") as file:
        file.write("(")
    if dies:
        os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(0.02)
    with log.open("a") as file:
        file.write(")")


def sleep_deaf(log: Path) -> None:
    """Sleeps for long, whatever is asked of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    log.write_text("asleep")
    time.sleep(1000)


def arrays(seed: int, sizes: list[int], fatal: bool = False) -> dict[int, np.ndarray]:
    """Random bytes by their number; dies behind the first half of its work if asked."""
    found = {size: np.random.default_rng([seed, size]).integers(0, 256, size, dtype=np.uint8) for size in sizes}
    if fatal:
        os.kill(os.getpid(), signal.SIGKILL)
    return found
