"""SHA-256 of weight files, remembered so that gigabytes are read for it only once."""

import hashlib
import re
from contextlib import suppress
from pathlib import Path

from ..cache.files import read_json, write_json
from ..errors import ExpclipError


class Hashes:
    """Remembers digests by (path, size, modification time) in a JSON file; works without one that can be written."""

    def __init__(self, memory: Path | None = None):
        self._memory = memory

    def sha256(self, path: Path) -> str:
        """SHA-256, as hex, of a file's bytes. Raises ExpclipError where it cannot be read."""
        blob = path.resolve().name
        if path.is_symlink() and re.fullmatch(r"[0-9a-f]{64}", blob):
            return blob  # the hub's cache names a file by its SHA-256
        try:
            status = path.stat()
            known_as = f"{path.absolute()}|{status.st_size}|{status.st_mtime_ns}"
            known: dict[str, str] = (self._memory and read_json(self._memory)) or {}
            if known_as not in known:
                with path.open("rb") as file:
                    known[known_as] = hashlib.file_digest(file, "sha256").hexdigest()
                self._remember(known)
        except OSError as error:
            raise ExpclipError(f"{path}: the weights cannot be read ({error.strerror})") from error
        return known[known_as]

    def _remember(self, known: dict[str, str]) -> None:
        if self._memory is None:
            return
        with suppress(ExpclipError, OSError):  # a read-only cache costs the time of hashing again, nothing else
            write_json(self._memory, known)
