"""The files that torch.save and torch.jit.save write: their pickle, and the bytes of their storages.

Nothing in a file is run, and no member is read but by a name that torch gives it. torch stores the bytes of tensors
as they are: what is compressed, and may expand to anything, is refused.
"""

import io
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ..errors import ExpclipError, reason
from ..untrusted import open_file
from .pickled import Machine, Name

_LARGEST_PICKLE = 256 << 20
_ZIP, _EMPTY_ZIP, _PICKLE, _LFS = b"PK\x03\x04", b"PK\x05\x06", b"\x80", b"version https://git-lfs"
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
"""Of the form that torch wrote before 2020."""

_DAMAGE = (
    *(OSError, ValueError, OverflowError, EOFError, RuntimeError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error, struct.error),
)
"""What is raised over files that are not what they say."""
_WIDTHS = {
    "Float": 4,
    "Half": 2,
    "BFloat16": 2,
    "Double": 8,
    "Long": 8,
    "Int": 4,
    "Short": 2,
    "Char": 1,
    "Byte": 1,
    "Bool": 1,
    "Untyped": 1,
    "ComplexFloat": 8,
    "ComplexDouble": 16,
    "QInt8": 1,
    "QUInt8": 1,
    "QInt32": 4,
}
"""Bytes of a value by the name of its storage."""


@dataclass(frozen=True)
class Archive:
    """An open file of weights."""

    path: Path
    root: Any
    """What its pickle describes."""
    names: frozenset[str]
    """The classes and functions that the pickle names."""
    is_torchscript: bool
    bytes_of: Callable[[str], bytes]
    """The bytes of a storage by its key. Raises ValueError where the file does not have them."""


@dataclass(frozen=True)
class Storage:
    """Values of one kind that tensors are views of."""

    kind: str
    """Of _WIDTHS."""
    key: str
    values: int

    @property
    def width(self) -> int:
        """Bytes of a value."""
        return _WIDTHS[self.kind]


def storage(known_as: Any) -> Storage:
    """The storage that a pickle names so. Raises ValueError where it is none."""
    known = known_as[1:5] if isinstance(known_as, tuple) and known_as[:1] == ("storage",) else ()
    match known:
        case (Name(path), str(key), str(), int(values)) if values >= 0 and known_as[5:] in ((), (None,)):
            kind = path.rpartition(".")[2].removesuffix("Storage")
            if path.startswith("torch.") and kind in _WIDTHS:
                return Storage(kind, key, values)
            raise ValueError(f"it has values of the kind {path[:80]}")
    raise ValueError("it names something that is no storage")


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """Open a file that torch wrote. Raises ExpclipError, in one line, for every other, and for a damaged one."""
    try:
        with open_file(path) as file:
            start = file.read(512)
            file.seek(0)
            if start.startswith(_ZIP):
                with zipfile.ZipFile(file) as members:
                    yield _zipped(path, members)
            elif start.startswith(_PICKLE):
                yield _legacy(path, file)
            else:
                raise ValueError(_what_it_is(start))
    except _DAMAGE as error:
        raise ExpclipError(
            f"{path}: these weights cannot be read ({getattr(error, 'strerror', None) or reason(error)}): get the "
            f"file again, or save the state dict of its model"
        ) from error


def _what_it_is(start: bytes) -> str:
    if not start:
        return "it is empty"
    if start.startswith(_LFS):
        return "it is a pointer of git-lfs: run `git lfs pull` where it comes from"
    if start[257:262] == b"ustar":
        return "it is a tar archive: unpack it, or save the weights anew with torch.save"
    if start[8:9] == b"{":
        return "it looks like safetensors already"
    if start.startswith(_EMPTY_ZIP):
        return "it is an empty zip"
    return "it is a text or a web page" if start.isascii() else "its beginning is none that torch writes"


def _zipped(path: Path, members: zipfile.ZipFile) -> Archive:
    """A zip with PREFIX/data.pkl and PREFIX/data/0, …; TorchScript has code beside them, which is not read."""
    infos = members.infolist()
    ((name, times),) = Counter(one.filename for one in infos).most_common(1) or [("", 0)]
    if times > 1:
        raise ValueError(f"it has {name!r} twice")
    by_name = {one.filename: one for one in infos}
    pickles = [name for name in by_name if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise ValueError("a zip without the one data.pkl that torch writes")
    prefix = pickles[0].removesuffix("data.pkl")
    if f"{prefix}byteorder" in by_name and members.read(_stored(by_name[f"{prefix}byteorder"])) != b"little":
        raise ValueError("its bytes are in the order of other processors")
    machine = Machine()
    with members.open(_small(by_name[pickles[0]])) as file:
        root = machine.read(_whole(file))
    is_torchscript = f"{prefix}constants.pkl" in by_name or any(name.startswith(f"{prefix}code/") for name in by_name)

    def bytes_of(key: str) -> bytes:
        if f"{prefix}data/{key}" not in by_name:
            raise ValueError(f"it lacks the storage {key[:40]!r}")
        return members.read(_stored(by_name[f"{prefix}data/{key}"]))

    return Archive(path, root, frozenset(machine.names), is_torchscript, bytes_of)


def _stored(member: zipfile.ZipInfo) -> zipfile.ZipInfo:
    if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
        raise ValueError(f"{member.filename[:80]!r} is compressed, which torch does not do")
    return member


def _small(member: zipfile.ZipInfo) -> zipfile.ZipInfo:
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{member.filename[:80]!r} is compressed in a way that torch does not know")
    if member.file_size > _LARGEST_PICKLE:
        raise ValueError(f"{member.filename[:80]!r} would be {member.file_size:,} bytes")
    return member


def _whole(file: IO[bytes]) -> IO[bytes]:
    """A member within the bound, whatever its header says of its size; its checksum is compared at its end."""
    content = file.read(_LARGEST_PICKLE + 1)
    if len(content) > _LARGEST_PICKLE:
        raise ValueError("its pickle is too large")
    return io.BytesIO(content)


def _legacy(path: Path, file: IO[bytes]) -> Archive:
    """Five pickles, then the storages in the order of the last pickle: the number of values, and the values."""
    if Machine().read(file) != _MAGIC or Machine().read(file) != _PROTOCOL:
        raise ValueError("it is a pickle, and none that torch.save writes")
    Machine().read(file)  # sizes of the processor that wrote it
    machine = Machine()
    root, keys = machine.read(file), Machine().read(file)
    kept = {one.key: one for one in map(storage, machine.outside)}
    if not isinstance(keys, list) or not all(isinstance(key, str) and key in kept for key in keys):
        raise ValueError("its list of storages is damaged")
    places, place = {}, file.tell()
    for key in keys:
        (values,) = struct.unpack("<q", file.read(8))
        places[key] = place + 8, values * kept[key].width
        if values < 0 or sum(places[key]) > path.stat().st_size:
            raise ValueError("it is cut short")
        place = file.seek(sum(places[key]))

    def bytes_of(key: str) -> bytes:
        if key not in places:
            raise ValueError(f"it lacks the storage {key[:40]!r}")
        start, size = places[key]
        file.seek(start)
        return file.read(size)

    return Archive(path, root, frozenset(machine.names), False, bytes_of)
