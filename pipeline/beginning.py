"""What is said where a cache is begun: who meant another one sees it before anything is encoded anew."""

from ..cache.cache import Cache
from ..reports.console import say


def say_new(cache: Cache) -> None:
    """Say where a cache is that has nothing yet, before something is put there."""
    if not cache.is_begun:
        say(f"new cache here: {cache.root}")
