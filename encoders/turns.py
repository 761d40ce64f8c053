"""Large pictures are decoded one at a time: however many processes decode, memory holds one of them."""

from collections.abc import Callable

LARGE = 16_000_000
"""Pixels. A phone's 12 megapixels and the frames of a 4K video are below; some 8 bytes a pixel are held meanwhile."""

_wait: list[Callable[[], None]] = []
"""How this process waits for its turn; none where nothing else decodes."""


def wait_with(wait: Callable[[], None]) -> None:
    """From now on call this before anything large is decoded; who is waited for knows when it is done."""
    _wait[:] = [wait]


def take_turn(width: int, height: int) -> None:
    """Wait until a picture of this size may be decoded: to be called as soon as its size is known."""
    if width * height > LARGE:
        for wait in _wait:
            wait()
