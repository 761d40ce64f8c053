"""Options that were given and change nothing are said, so that nobody waits for their effect.

What expclip.toml says is for many commands, and is not said where one has no use for it.
"""

from collections.abc import Iterable
from typing import Any

from ..reports.console import say
from .request import Request

NO_CLIPS = "none of these data sets has clips"


def note_unused(request: Request, names: str | Iterable[str], why: str, value: Any = None) -> None:
    """Say of options that they change nothing, and why, where they were given.

    `value` is the one to show, where an option was given several and only one is meant.
    """
    for name in [names] if isinstance(names, str) else names:
        if name in request.typed:
            shown = getattr(request, name) if value is None else value
            text = ", ".join(map(str, shown)) if isinstance(shown, tuple) else str(shown)
            say(f"note: {request.typed[name]} {text}: {why}, so it changes nothing")
