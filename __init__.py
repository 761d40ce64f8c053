"""expclip: zero-shot facial expression recognition from cached features.

Extract frozen embeddings once, fit projection heads in seconds, score any number of prompts and heads for free.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .errors import ExpclipError, UsageError

if TYPE_CHECKING:
    from .heads.linear import LinearHead
    from .stages.evaluate import evaluate
    from .stages.extract import Wanted, extract
    from .stages.features import open_features
    from .stages.figure_subject import Drawing
    from .stages.figures import figures
    from .stages.fit_head import Sweep, Training, fit_head
    from .stages.paper_setting import Setting
    from .stages.reproduce import reproduce
    from .stages.scoring import Scoring
    from .stages.workspace import Workspace

__version__ = "0.1.0"

_HOMES = {
    "Drawing": "stages.figure_subject",
    "LinearHead": "heads.linear",
    "Scoring": "stages.scoring",
    "Setting": "stages.paper_setting",
    "Sweep": "stages.fit_head",
    "Training": "stages.fit_head",
    "Wanted": "stages.extract",
    "Workspace": "stages.workspace",
    "evaluate": "stages.evaluate",
    "extract": "stages.extract",
    "figures": "stages.figures",
    "fit_head": "stages.fit_head",
    "open_features": "stages.features",
    "reproduce": "stages.reproduce",
}

__all__ = [
    "Drawing",
    "ExpclipError",
    "LinearHead",
    "Scoring",
    "Setting",
    "Sweep",
    "Training",
    "UsageError",
    "Wanted",
    "Workspace",
    "evaluate",
    "extract",
    "figures",
    "fit_head",
    "open_features",
    "reproduce",
]


def __getattr__(name: str) -> Any:
    """Load what is asked for, and only then torch and its friends."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
