"""A folder in which commands are run: with pictures, an old cache and a made-up hub, without a network."""

import contextlib
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from made_up_hub import fill_hub

HERE = Path(__file__).parent
ARCHIVE = HERE / "cache.tar.xz"
"""`faces/`: pictures and lists; `old/`: a cache of them that version 0.1.0 wrote; `handed/`: files it handed over."""
ORIGIN = "/data/golden-faces"
"""Where the pictures of the old cache were. There is no such folder any more."""


@dataclass(frozen=True)
class Place:
    """A folder to work in, which is the working directory too."""

    folder: Path

    def invoke(self, *arguments: str, code: int = 0) -> str:
        """What a command prints on stdout, where it ends with an exit code."""
        from expclip.cli import app
        from typer.testing import CliRunner

        result = CliRunner().invoke(app, list(arguments))
        assert result.exit_code == code, f"{arguments}: {result.exit_code}\n{result.output}\n{result.exception!r}"
        return result.stdout

    def document(self, *arguments: str, code: int = 0) -> Any:
        """The JSON that a command prints, without what is of the machine or the moment."""
        return self.neutral(json.loads(self.invoke(*arguments, "--json", code=code)))

    def neutral(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {k: f"<{k}>" if k in ("seconds", "fitted") else self.neutral(v) for k, v in value.items()}
        if isinstance(value, list):
            return [self.neutral(one) for one in value]
        return value.replace(str(self.folder), "<tmp>") if isinstance(value, str) else value

    def use_cache(self, name: str) -> None:
        os.environ["EXPCLIP_CACHE"] = str(self.folder / name)


@contextlib.contextmanager
def standing_in(folder: Path) -> Iterator[Place]:
    """Work in a folder with the pictures, an empty cache, a made-up cache of the hub and no network.

    The processor is one that multiplies bfloat16.
    """
    import huggingface_hub.constants
    from expclip.encoders import dtypes
    from matplotlib.figure import Figure

    folder = folder.resolve()
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    fill_hub(folder / "hub")
    constants = {"HF_HUB_CACHE": str(folder / "hub"), "HF_HUB_OFFLINE": True}
    with (
        contextlib.chdir(folder),
        patch.dict(os.environ, {"EXPCLIP_CACHE": str(folder / "cache"), "COLUMNS": "200"}),
        patch.multiple(huggingface_hub.constants, **constants),
        patch.object(dtypes, "multiplies_bfloat16", lambda: True),  # whichever processor this is
        patch.object(Figure, "savefig", lambda self, file, **_: None),  # drawing takes most of the time
    ):
        yield Place(folder)


@contextlib.contextmanager
def no_encoder() -> Iterator[list[str]]:
    """Keep encoders from being loaded; gives the names of what was called for it, and fails where anything was."""
    calls: list[str] = []

    def refuse(name: str) -> Callable[..., None]:
        def call(*_: Any, **__: Any) -> None:
            calls.append(name)
            raise RuntimeError(f"{name}: an encoder is loaded")

        return call

    with (
        patch("open_clip.create_model", refuse("open_clip.create_model")),
        patch("torch.nn.Module.load_state_dict", refuse("load_state_dict")),
    ):
        yield calls
    assert calls == []
