"""Which frames of a clip are used.

Each policy maps the number n of frames in a clip to frame numbers 0 … n-1 in order, repeats included.
"""

from collections.abc import Callable

FRAMES_PER_CLIP = 16


def released(n: int) -> list[int]:
    """16 frames as Exp-CLIP's released code picks them; for n <= 16 that is frame 0 sixteen times."""
    if n <= FRAMES_PER_CLIP:
        return [0] * FRAMES_PER_CLIP
    return _middles(n)


def edge(n: int) -> list[int]:
    """16 frames; short clips are padded with their last frame, as DFER-CLIP does."""
    if n <= FRAMES_PER_CLIP:
        return list(range(n)) + [n - 1] * (FRAMES_PER_CLIP - n)
    return _middles(n)


def every(n: int) -> list[int]:
    """Every frame once."""
    return list(range(n))


def _middles(n: int) -> list[int]:
    """The middle frame of each of sixteen equal parts of the clip."""
    tick = n / FRAMES_PER_CLIP
    return [int(tick / 2 + tick * k) for k in range(FRAMES_PER_CLIP)]


POLICIES: dict[str, Callable[[int], list[int]]] = {"released": released, "edge": edge, "all": every}

DEFAULT_POLICIES = ("released", "edge")
"""The policies that a manifest's rows cover unless all frames are requested."""
