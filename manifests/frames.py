"""Which frames of a clip are used.

Each policy maps the number n of frames in a clip to frame numbers 0 … n-1, repeats included.
"""

from collections.abc import Callable

FRAMES_PER_CLIP = 16
ALL = "all"
"""The policy that covers every other."""


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


def linspace(n: int) -> list[int]:
    """8 frames at equal steps from the first to the last, as EmotionCLIP takes them; a short clip repeats some."""
    return [k * (n - 1) // 7 for k in range(8)]


def every_fourth(n: int) -> list[int]:
    """32 of the frames 0, 4, 8, …, the first ones, as EmoCLIP takes them, which begins at a random one of them.

    Fewer than 32 are followed by themselves from the first, once; what is lacking then goes back and forth over that
    list without repeating its ends: a, b and c become a b c a b c, b a c b a, b c a b c and so on.
    """
    picked = list(range(0, n, 4))
    twice = (picked + picked)[:32]
    turn = 2 * (len(twice) - 1)
    return [twice[min(k % turn, turn - k % turn)] for k in range(32)]


def _middles(n: int) -> list[int]:
    """The middle frame of each of sixteen equal parts of the clip."""
    tick = n / FRAMES_PER_CLIP
    return [int(tick / 2 + tick * k) for k in range(FRAMES_PER_CLIP)]


POLICIES: dict[str, Callable[[int], list[int]]] = {
    "released": released,
    "edge": edge,
    ALL: every,
    "linspace-8": linspace,
    "every-4th-32": every_fourth,
}

DEFAULT_POLICIES = ("released", "edge")
"""The policies that a manifest's rows cover unless all frames are requested."""
