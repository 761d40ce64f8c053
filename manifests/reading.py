"""How a data set is to be read, where the disk alone does not say."""

from dataclasses import dataclass
from typing import Literal

from .frames import DEFAULT_POLICIES

ORDERS = ("native", "released")
Order = Literal["native", "released"]
"""Of the frames of a clip: `native` by number, 1, 2, …, 10; `released` as text, 1, 10, …, 2, as the released code."""


@dataclass(frozen=True)
class Reading:
    """What the user, not the disk, says about a data set."""

    policies: tuple[str, ...] = DEFAULT_POLICIES
    """The frame policies that the rows of clips cover."""
    numbers: tuple[str, ...] = ()
    """The classes that the label numbers 0, 1, … stand for, as the user names them; empty where nobody says."""
    order: Order = "native"
    """In which order the frames of a clip are, where their numbers have no leading zeros."""


AS_IT_IS = Reading()
