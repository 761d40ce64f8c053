"""SHA-256 of weight files, remembered so that gigabytes are hashed only once."""

import hashlib
import re
from pathlib import Path

from ..cache.memory import FileMemory
from ..errors import ExpclipError


class Hashes:
    """Remembers digests by (path, size, modification time), in a JSON file too if one is given."""

    def __init__(self, memory: Path | None = None):
        self._memory = FileMemory(str, memory)

    def sha256(self, path: Path) -> str:
        """SHA-256, as hex, of a file's bytes. Raises ExpclipError where it cannot be read."""
        named = _hub_name(path)
        if named:
            return named
        try:
            digest = self._memory.of(path, _digest)
        except OSError as error:
            raise ExpclipError(f"{path}: the weights cannot be read ({error.strerror})") from error
        self._memory.keep()
        return digest


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hub_name(path: Path) -> str | None:
    """The name of a file in the hub's cache, which links a large file to a blob that is named after its SHA-256."""
    blob = path.resolve()
    is_digest = re.fullmatch(r"[0-9a-f]{64}", blob.name) is not None
    return blob.name if path.is_symlink() and blob.parent.name == "blobs" and is_digest and blob.is_file() else None
