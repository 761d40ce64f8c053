"""What was found out about files, so that it need not be found out again."""

from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Generic, TypeVar

from ..aside import clear
from ..errors import ExpclipError
from .files import read_json, seal, unseal, write_json

Value = TypeVar("Value", str, int)


class FileMemory(Generic[Value]):
    """Remembers something by a file's path, size and modification time, in a JSON file too if one is given."""

    def __init__(self, kind: type[Value], kept_in: Path | None = None):
        self._kind = kind
        self._kept_in = kept_in
        self._new: dict[str, Value] = {}

    def of(self, path: Path, find_out: Callable[[Path], Value]) -> Value:
        """What is known of a file, or else is found out. Raises OSError where it is not there.

        That nothing is found is not remembered: it may be the machine's fault.
        """
        status = path.stat()
        return self.named(f"{path.absolute()}|{status.st_size}|{status.st_mtime_ns}", lambda: find_out(path))

    def named(self, known_as: str, find_out: Callable[[], Value]) -> Value:
        """What is known under a name, which says all that it depends on, or else is found out."""
        known = self._new.get(known_as) or self._kept.get(known_as)
        if known:
            return known
        found = find_out()
        if found:
            self._new[known_as] = found
        return found

    def keep(self) -> None:
        """Write down what is new. A folder that may not be written to costs the time of finding out, nothing else."""
        if self._kept_in is None:
            return
        clear(self._kept_in)
        if not self._new:
            return
        with suppress(ExpclipError, OSError):
            write_json(self._kept_in, seal(self._written() | self._new))
            self._kept.update(self._new)
            self._new.clear()

    @cached_property
    def _kept(self) -> dict[str, Value]:
        return self._written()

    def _written(self) -> dict[str, Value]:
        content = read_json(self._kept_in) if self._kept_in else None
        try:
            known = unseal(content) if isinstance(content, dict) else {}
        except ValueError:  # what changed since it was written is found out again
            known = {}
        return {name: value for name, value in known.items() if type(value) is self._kind}
