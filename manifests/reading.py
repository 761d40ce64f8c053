"""How a data set is to be read, where the disk alone does not say."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .animations import count_pictures
from .disk import is_video_name
from .frames import DEFAULT_POLICIES
from .videos import count_frames as count_frames_of_video

ORDERS = ("native", "released")
Order = Literal["native", "released"]
"""Of the frames of a clip: `native` by number, 1, 2, …, 10; `released` as text, 1, 10, …, 2, as the released code."""
Count = Callable[[Path], int]


def count_frames(path: Path) -> int:
    """How many frames a video or a picture file has; 0 where it cannot be read.

    Raises UsageError where PyAV, which videos need, is not installed.
    """
    return (count_frames_of_video if is_video_name(path.name) else count_pictures)(path)


@dataclass(frozen=True)
class Reading:
    """What the user, not the disk, says about a data set."""

    policies: tuple[str, ...] = DEFAULT_POLICIES
    """The frame policies that the rows of clips cover."""
    numbers: tuple[str, ...] = ()
    """The classes that the label numbers 0, 1, … stand for, as the user names them; empty where nobody says."""
    order: Order = "native"
    """In which order the frames of a clip are, where their numbers have no leading zeros."""
    count: Count = count_frames
    """How many frames a file has that is a clip: that takes time, and somebody may remember it."""


AS_IT_IS = Reading()
