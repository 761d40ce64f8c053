"""expclip: zero-shot facial expression recognition from cached features.

Extract frozen embeddings once, fit heads in seconds, score any number of prompts and heads for free. Every function
takes the options of the command of its name as keywords; one that may be repeated takes a value or a list.
"""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .errors import ExpclipError, UsageError
from .lazy import load

if TYPE_CHECKING:
    from .heads.linear import LinearHead
    from .pipeline.features import open_features
    from .reports.results import read_results
    from .stages.predict.given import predict

__version__ = "0.1.0"

_COMMANDS = ("crop", "evaluate", "extract", "figures", "fit_head", "report", "reproduce")
_TARGETS = {
    "LinearHead": "heads.linear:LinearHead",
    "open_features": "pipeline.features:open_features",
    "predict": "stages.predict.given:predict",
    "read_results": "reports.results:read_results",
}

__all__ = ["ExpclipError", "LinearHead", "UsageError", "open_features", "predict", "read_results", *_COMMANDS]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """Load what is asked for, and only then torch and its friends."""
    if name in _COMMANDS:
        return _function(name)
    if name not in _TARGETS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return load(_TARGETS[name])


def _function(name: str) -> Callable[..., Any]:
    """A command as a function: its keywords are the fields of its request."""
    from .commands import command
    from .commands.request import given

    one = command(name.replace("_", "-"))
    signature = inspect.signature(one.kind)

    def call(*args: Any, **options: Any) -> Any:
        request = one.kind(*args, **options)
        return one.do(given(request, signature.bind(*args, **options).arguments))

    call.__name__, call.__doc__ = name, one.kind.__doc__
    call.__signature__ = signature  # pyright: ignore[reportFunctionMemberAccess]
    return call
