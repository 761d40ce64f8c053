"""SHA-256 of weight files, remembered so that gigabytes are hashed only once."""

import hashlib
import re
from contextlib import suppress
from pathlib import Path

from ..cache.files import read_json, write_json
from ..errors import ExpclipError


class Hashes:
    """Remembers digests by (path, size, modification time), in a JSON file too if one is given."""

    def __init__(self, memory: Path | None = None):
        self._memory = memory
        self._known: dict[str, str] = {}

    def sha256(self, path: Path) -> str:
        """SHA-256, as hex, of a file's bytes. Raises ExpclipError where it cannot be read."""
        named = _hub_name(path)
        if named:
            return named
        try:
            status = path.stat()
            known_as = f"{path.absolute()}|{status.st_size}|{status.st_mtime_ns}"
            if known_as not in self._known:
                self._known |= self._written()
            if known_as not in self._known:
                with path.open("rb") as file:
                    self._known[known_as] = hashlib.file_digest(file, "sha256").hexdigest()
                self._write()
        except OSError as error:
            raise ExpclipError(f"{path}: the weights cannot be read ({error.strerror})") from error
        return self._known[known_as]

    def _written(self) -> dict[str, str]:
        content = read_json(self._memory) if self._memory else None
        return content if isinstance(content, dict) else {}

    def _write(self) -> None:
        if self._memory is None:
            return
        with suppress(ExpclipError, OSError):  # a read-only cache costs the time of hashing again, nothing else
            write_json(self._memory, self._written() | self._known)


def _hub_name(path: Path) -> str | None:
    """The name of a file in the hub's cache, which links a large file to a blob that is named after its SHA-256."""
    blob = path.resolve()
    is_digest = re.fullmatch(r"[0-9a-f]{64}", blob.name) is not None
    return blob.name if path.is_symlink() and blob.parent.name == "blobs" and is_digest and blob.is_file() else None
