"""What a run is told once: `expclip.toml` in the working directory, under the command-line options."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

from .errors import UsageError, brief
from .untrusted import parse_toml, read_text

CONFIG_FILE = "expclip.toml"
CACHE_VARIABLE = "EXPCLIP_CACHE"
DEFAULT_CACHE = "expclip-cache"
_MOST_BYTES = 1 << 16


@dataclass(frozen=True)
class Settings:
    """The content of `expclip.toml`; all is empty where there is no such file."""

    path: Path = Path(CONFIG_FILE)
    cache: Path | None = None
    roots: Mapping[str, Path] = field(default_factory=dict)
    """Folders of data sets by catalogue name."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Values of options for all commands that have them."""
    tables: Mapping[str, Any] = field(default_factory=dict)
    """Values of options for one command, by its name; the commands know which there may be."""

    def table(self, verb: str) -> Mapping[str, Any]:
        """The table of a command: [fit-head], or [heads.import] of `heads import`."""
        return reduce(lambda table, word: table.get(word, {}), verb.split(), self.tables)


def read_settings(folder: Path | None = None) -> Settings:
    """Read `expclip.toml` of a folder (by default the working directory). Raises UsageError for what is wrong."""
    path = (folder or Path()) / CONFIG_FILE
    try:
        content = parse_toml(read_text(path, _MOST_BYTES))
    except FileNotFoundError:
        return Settings(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read ({error}): correct it or move it away") from error
    cache = content.pop("cache", None)
    if cache is not None and not isinstance(cache, str):
        raise UsageError(f"{path}: cache: give a folder in quotes, found {brief(cache)}")
    roots, defaults = (_table(path, name, content.pop(name, {})) for name in ("roots", "defaults"))
    for name, root in roots.items():
        if not isinstance(root, str):
            raise UsageError(f"{path}: roots.{name}: give a folder in quotes, found {brief(root)}")
    paths = {name: Path(root) for name, root in roots.items()}
    return Settings(path, Path(cache) if cache else None, paths, defaults, content)


def _table(path: Path, name: str, found: Any) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        raise UsageError(f"{path}: {name}: this must be a table, [{name}], found {brief(found)}")
    return found


def cache_folder(asked: Path | None, settings: Settings) -> Path:
    """The folder that was asked for, else $EXPCLIP_CACHE, else the file's, else ./expclip-cache."""
    from_environment = os.environ.get(CACHE_VARIABLE)
    return asked or (Path(from_environment) if from_environment else None) or settings.cache or Path(DEFAULT_CACHE)
