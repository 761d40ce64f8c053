"""Code that a table names and that is loaded only when it is used: looking around imports no heavy library."""

from importlib import import_module
from typing import Any


def load(target: str) -> Any:
    """What `room.module:name` stands for in this package."""
    module, _, name = target.partition(":")
    return getattr(import_module(f".{module}", __package__), name)
