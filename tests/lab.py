"""A cache, and the functions of the package on it."""

import inspect
from functools import partial
from pathlib import Path
from typing import Any

import expclip
from expclip.cache.cache import Cache
from expclip.encoders.families import Models
from expclip.pipeline.executors import RunOptions
from expclip.pipeline.workspace import WEIGHTS_MEMORY, Workspace


class Lab:
    """`lab.extract(…)` is `expclip.extract(…)` on the lab's cache, with its usual options.

    It decodes in this process, so that a test can count what is decoded.
    """

    def __init__(self, cache: Path, **usual: Any):
        self.cache = Cache(cache)
        self.usual = {"device": "cpu", "workers": 0} | usual

    def __getattr__(self, name: str) -> Any:
        function = getattr(expclip, name)
        known = inspect.signature(function).parameters
        usual = {"cache": self.cache.root} | self.usual
        return partial(function, **{option: value for option, value in usual.items() if option in known})

    def but(self, **changes: Any) -> "Lab":
        """The same cache, or another, with other usual options."""
        cache = changes.pop("cache", self.cache.root)
        return Lab(cache, **self.usual | changes)

    @property
    def workspace(self) -> Workspace:
        """What the stages work with."""
        models = Models(self.cache.root / WEIGHTS_MEMORY, "cpu")
        return Workspace(self.cache, self.usual.get("root", {}), models, RunOptions(workers=0))
