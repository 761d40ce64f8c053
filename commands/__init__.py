"""What can be asked, and how it is shown: one file per command, and none of them loads a model."""

from functools import cache

from ..lazy import load
from .command import Command

COMMANDS = {
    "extract": "extract:EXTRACT",
    "fit-head": "fit_head:FIT_HEAD",
    "evaluate": "evaluate:EVALUATE",
    "reproduce": "reproduce:REPRODUCE",
    "crop": "crop:CROP",
    "figures": "figures:FIGURES",
    "demo": "demo:DEMO",
    "doctor": "doctor:DOCTOR",
    "datasets list": "datasets:LIST_DATASETS",
    "datasets audit": "datasets:AUDIT_DATASETS",
    "cache list": "cache:LIST_CACHE",
    "cache export": "cache:EXPORT_STORE",
    "cache import": "cache:IMPORT_STORES",
    "heads list": "heads:LIST_HEADS",
    "heads import": "heads:IMPORT_HEAD",
    "heads export": "heads:EXPORT_HEAD",
    "weights list": "weights:LIST_WEIGHTS",
    "weights fetch": "weights:FETCH_WEIGHTS",
    "weights check": "weights:CHECK_WEIGHTS",
    "weights convert": "weights:CONVERT_WEIGHTS",
}
"""By what is typed."""

GROUPS = {
    "datasets": "The data sets: what there is, and what is wrong with a copy.",
    "cache": "The cache: what it holds, and handing stores over.",
    "heads": "The heads: what the cache has, bringing others in, handing them over.",
    "weights": "The models' weights: what they need, fetching it ahead, whether it is complete, other formats.",
}


@cache
def command(verb: str) -> Command:
    """A command by what is typed."""
    return load(f"commands.{COMMANDS[verb]}")
