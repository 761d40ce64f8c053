"""What a run is told once: `expclip.toml` in the working directory, under the command-line options."""

import os
import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import UsageError

CONFIG_FILE = "expclip.toml"
CACHE_VARIABLE = "EXPCLIP_CACHE"
DEFAULT_CACHE = "expclip-cache"


class Defaults(BaseModel):
    """The [defaults] table: values for options that are not given."""

    model_config = ConfigDict(extra="forbid")

    clip: str | None = None
    teacher: str | None = None
    protocol: str | None = None
    device: str | None = None
    dtype: str | None = None
    batch_size: int | None = Field(default=None, ge=1)
    workers: int | None = Field(default=None, ge=1)
    executor: str | None = None
    scheduler: str | None = None


class Config(BaseModel):
    """The whole of `expclip.toml`; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid")

    cache: Path | None = None
    roots: dict[str, Path] = {}
    defaults: Defaults = Defaults()


def read_config(folder: Path | None = None) -> Config:
    """Read `expclip.toml` of a folder (by default the working directory). Raises UsageError for what is wrong."""
    path = (folder or Path()) / CONFIG_FILE
    try:
        return Config.model_validate(tomllib.loads(path.read_text(encoding="utf-8-sig")))
    except FileNotFoundError:
        return Config()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: cannot be read ({error}): correct it or move it away") from error
    except ValidationError as error:
        raise UsageError(f"{path}: {_first_problem(error)}") from error


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    *tables, key = (str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        table = Defaults if tables == ["defaults"] else Config
        return f"{'.'.join([*tables, key])} is unknown: there are {', '.join(table.model_fields)}"
    return f"{'.'.join([*tables, key])}: {problem['msg']}, found {problem['input']!r}"


def cache_folder(option: Path | None, config: Config) -> Path:
    """--cache, else $EXPCLIP_CACHE, else the configuration file, else ./expclip-cache."""
    from_environment = os.environ.get(CACHE_VARIABLE)
    return option or (Path(from_environment) if from_environment else None) or config.cache or Path(DEFAULT_CACHE)


def cache_option(root: Path) -> list[str]:
    """What a command that is to use a cache folder must say: nothing where it finds that folder by itself."""
    found = cache_folder(None, read_config()).expanduser().absolute()
    return [] if root == found else ["--cache", str(root)]
