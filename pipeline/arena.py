"""Memory that two processes share: large values go through it, as a pipe would cut them into pieces and copy each."""

import os
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from mmap import mmap
from typing import Any

BYTES = 16 << 20
"""Of one such memory. Its pages are taken when they are first written to."""
_LARGE = 1 << 14
"""Bytes from which on a buffer goes beside the pipe."""

Packed = tuple[bytes, list[slice]]
"""A pickled value, and where its large buffers are."""


@contextmanager
def new_memory() -> Iterator[tuple[int, ...]]:
    """The descriptor of new memory, as long as the context lasts; on other systems than Linux there is none.

    It has no name, and is gone with the processes that made an arena of it.
    """
    try:
        descriptor = os.memfd_create("expclip")
    except (AttributeError, OSError):
        yield ()
        return
    try:
        yield (descriptor,) if _has_room(descriptor) else ()
    finally:
        os.close(descriptor)


def _has_room(descriptor: int) -> bool:
    """Whether the memory can be as large as it is to be: a limit on files holds for it too."""
    try:
        os.truncate(descriptor, BYTES)
    except OSError:
        return False
    return True


class Arena:
    """Such a memory, in either process; without a descriptor an empty one. What has no room in it goes by the pipe.

    Who packs clears it before the first of some values, when those before are unpacked.
    """

    def __init__(self, descriptors: Sequence[int]):
        self._memory = memoryview(mmap(descriptors[0], BYTES) if descriptors else b"")
        self._used = 0

    def clear(self) -> None:
        """Let new values take the place of those that are unpacked."""
        self._used = 0

    def pack(self, what: Any) -> Packed:
        """A value without its large buffers, which are in the memory."""
        places: list[slice] = []

        def goes_by_the_pipe(buffer: pickle.PickleBuffer) -> bool:
            content = buffer.raw()
            place = slice(self._used, self._used + content.nbytes)
            if content.nbytes < _LARGE or place.stop > len(self._memory):
                return True
            self._memory[place] = content
            self._used = place.stop
            places.append(place)
            return False

        return pickle.dumps(what, pickle.HIGHEST_PROTOCOL, buffer_callback=goes_by_the_pipe), places

    def unpack(self, packed: Packed) -> Any:
        """The value, with a copy of what is in the memory."""
        pickled, places = packed
        return pickle.loads(pickled, buffers=[bytearray(self._memory[place]) for place in places])
