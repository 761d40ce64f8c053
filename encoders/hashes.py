"""What is remembered of models: SHA-256 of their files, so that gigabytes are hashed once, and what libraries say."""

import hashlib
import json
import re
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..cache.keys import digest
from ..cache.memory import FileMemory
from ..errors import ExpclipError
from ..untrusted import parse_json


class Hashes:
    """Remembers digests by (path, size, modification time), in a JSON file too if one is given.

    And facts: what a library says of something that is described to it whole, by its version and that description.
    """

    def __init__(self, memory: Path | None = None):
        self._memory = FileMemory(str, memory)

    def sha256(self, path: Path) -> str:
        """SHA-256, as hex, of a file's bytes. Raises ExpclipError where it cannot be read."""
        named = _hub_name(path)
        if named:
            return named
        try:
            found = self._memory.of(path, _digest)
        except OSError as error:
            raise ExpclipError(f"{path}: the weights cannot be read ({error.strerror})") from error
        self._memory.keep()
        return found

    def fact(self, library: str, asked: dict[str, Any], find_out: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What a library, by the name that it is installed under, says of what is `asked`: JSON-like values.

        It is imported by `find_out`, and so only where this is not known yet, which for a model takes seconds.
        """

        def found() -> str:
            return json.dumps(find_out())

        known_as = f"{library} {version(library)}|{digest(asked)}"
        text = self._memory.named(known_as, found)
        self._memory.keep()
        try:
            fact = parse_json(text)
        except ValueError:
            fact = None
        return fact if isinstance(fact, dict) else json.loads(found())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hub_name(path: Path) -> str | None:
    """The name of a file in the hub's cache, which links a large file to a blob that is named after its SHA-256."""
    blob = path.resolve()
    is_digest = re.fullmatch(r"[0-9a-f]{64}", blob.name) is not None
    return blob.name if path.is_symlink() and blob.parent.name == "blobs" and is_digest and blob.is_file() else None
