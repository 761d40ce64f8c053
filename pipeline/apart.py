"""Calls for files in processes of their own: one that dies of a file takes nothing with it, and the file is known.

A decoder that crashes takes its process along. In a pool of `concurrent.futures` or loky that breaks the whole pool,
without a word on which of the files was the cause, and Dask's workers may not have such children. Here each thread
has one process, which answers call after call: when it dies, the first call without an answer is the cause.
"""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from queue import SimpleQueue
from typing import IO, Any

from ..encoders import turns
from ..errors import ExpclipError, reason
from .arena import Arena, new_memory

_PATIENCE = 2
"""Seconds that a process which is told to end may take."""
_START = (
    "import sys; sys.path[:] = sys.argv[5:]; from importlib import import_module as module; "
    "module(sys.argv[1]).serve(getattr(module(sys.argv[2]), sys.argv[3]), [*map(int, sys.argv[4].split())])"
)
_turn = threading.Lock()
"""Held while a large picture is decoded, by whichever of the processes that work for this one."""

Call = tuple[Any, ...]
"""The arguments of one call."""


def processes(asked: int | None) -> int:
    """How many processes read files: as many as are asked for, else one per core, up to eight."""
    return min(8, os.cpu_count() or 1) if asked is None else asked


@dataclass(frozen=True)
class Died:
    """The answer to a call that ended its process, and another one when it was made again."""

    how: str
    """The signal's name, for example SIGSEGV."""

    def of(self, what: str) -> str:
        """What to say of it: `decoding it killed the process (SIGSEGV)`."""
        return f"{what} it killed the process ({self.how})"


class Crew:
    """Threads that call a function of a module, each in a process of its own; 0 workers are a thread of this one.

    A call that ends its process is made once more: the system, short of memory, may have ended the wrong one. What
    the function raises is raised here. Use it as a context manager.
    """

    def __init__(self, function: Callable[..., Any], workers: int):
        self._function = function
        self._is_apart = workers > 0
        self._width = max(workers, 1)
        self._threads = ThreadPoolExecutor(self._width, thread_name_prefix="decode")
        self._own = threading.local()
        self._processes: set[_Process] = set()
        self._changing = threading.Lock()
        self._is_closed = False

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *_: object) -> None:
        """Leave no thread and no process behind: what is waiting does not begin, processes are stopped."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        with self._changing:
            self._is_closed = True
            left = list(self._processes)
        for process in left:
            process.hang_up()
        for process in left:
            process.end()
        self._threads.shutdown()

    def submit(self, calls: Sequence[Call]) -> Future[list[Any]]:
        """The answers to some calls, in order; one of the workers makes them one after another."""
        return self._threads.submit(self._apart if self._is_apart else self._here, calls)

    def map(self, calls: Iterable[Call]) -> Iterator[Any]:
        """The answers to many calls, in order; some of them are made ahead."""
        coming = iter(calls)
        ahead = deque(self.submit([call]) for call in islice(coming, 4 * self._width))
        while ahead:
            (answer,) = ahead.popleft().result()
            ahead.extend(self.submit([call]) for call in islice(coming, 1))
            yield answer

    def _here(self, calls: Sequence[Call]) -> list[Any]:
        return [self._function(*call) for call in calls]

    def _apart(self, calls: Sequence[Call]) -> list[Any]:
        answers: list[Any] = []
        suspect = -1
        while len(answers) < len(calls):
            process = self._process()
            try:
                for answer in process.answers(calls[len(answers) :]):
                    answers.append(answer)  # one by one: those before a death count
            except EOFError:
                how = self._bury(process)
                if suspect == len(answers):
                    answers.append(Died(how))
                else:
                    suspect = len(answers)
        return answers

    def _process(self) -> "_Process":
        """This thread's process."""
        if getattr(self._own, "process", None) is None:
            with self._changing:
                if self._is_closed:
                    raise ExpclipError("this run was interrupted")
                process = _Process(self._function)
                self._processes.add(process)
            process.begin()
            self._own.process = process
        return self._own.process

    def _bury(self, process: "_Process") -> str:
        self._own.process = None
        with self._changing:
            self._processes.discard(process)
        return process.end()


class _Process:
    """A Python process that calls one function. The terminal's signals pass it by; it ends when this one ends."""

    def __init__(self, function: Callable[..., Any]):
        names = [__name__, function.__module__, function.__name__]
        try:
            with new_memory() as memory:
                self._arena = Arena(memory)
                self._process = subprocess.Popen(
                    [sys.executable, "-c", _START, *names, " ".join(map(str, memory)), *sys.path],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,  # a library that crashes is not quiet
                    start_new_session=True,
                    pass_fds=memory,
                )
        except OSError as error:
            raise ExpclipError(f"no more processes can be started ({error.strerror or error})") from error
        assert self._process.stdin is not None and self._process.stdout is not None
        self._to, self._from = self._process.stdin, self._process.stdout

    def begin(self) -> None:
        """Wait until it is ready. Raises ExpclipError where it never is."""
        try:
            self._receive()
        except EOFError:
            how = self.end()
            raise ExpclipError(f"a process for reading files ended before its first one ({how})") from None

    def answers(self, calls: Sequence[Call]) -> Iterator[Any]:
        """The answers to some calls. Raises EOFError when it dies, and what the function raises."""
        self._send(calls)
        for _ in calls:
            found = self._receive()
            if isinstance(found, _Wait):
                with _turn:
                    self._send(found)
                    found = self._receive()
            if isinstance(found, _Raised):
                raise found.error
            yield found

    def hang_up(self) -> None:
        """Tell it to end."""
        with suppress(OSError):
            self._to.close()

    def end(self) -> str:
        """See to it that it has ended; returns how it did."""
        self.hang_up()
        try:
            code = self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        with suppress(ValueError):
            return signal.Signals(-code).name
        return f"exit code {code}"

    def _send(self, what: Any) -> None:
        try:
            _put(what, self._to)
        except (OSError, ValueError) as error:
            raise EOFError from error

    def _receive(self) -> Any:
        try:
            return self._arena.unpack(pickle.load(self._from))
        except (OSError, pickle.UnpicklingError) as error:
            raise EOFError from error


@dataclass(frozen=True)
class _Wait:
    """What a process says before a large picture, and hears when it is its turn; its answer ends the turn."""


@dataclass(frozen=True)
class _Raised:
    """What a process says instead of an answer; the calls behind it are not made."""

    error: BaseException


def _put(what: Any, stream: IO[bytes]) -> None:
    pickle.dump(what, stream, pickle.HIGHEST_PROTOCOL)
    stream.flush()


def serve(function: Callable[..., Any], memory: Sequence[int]) -> None:
    """In such a process: answer calls until the one that asks hangs up."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    arena = Arena(memory)

    def send(what: Any) -> None:
        _put(arena.pack(what), answers)

    asked: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_listen, args=(asked,), daemon=True).start()
    waited: list[Any] = []

    def wait() -> None:
        if not waited:
            send(_Wait())
            waited.append(asked.get())

    turns.wait_with(wait)
    with suppress(KeyboardInterrupt, BrokenPipeError):
        send(None)
        while True:
            calls = asked.get()
            arena.clear()  # who asks again has read all that was answered
            for call in calls:
                waited.clear()
                answer = _answer(function, call)
                send(answer)
                if isinstance(answer, _Raised):
                    break
    os._exit(0)


def _listen(asked: SimpleQueue[Any]) -> None:
    """Note what is asked; at the end of it end the process, also where it is in the middle of something."""
    with suppress(EOFError):
        while True:
            asked.put(pickle.load(sys.stdin.buffer))
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(1)
    os._exit(1)


def _answer(function: Callable[..., Any], call: Call) -> Any:
    try:
        return function(*call)
    except Exception as error:
        error.add_note(traceback.format_exc())
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            error = RuntimeError(f"{type(error).__name__}: {reason(error)}")
        return _Raised(error)
