"""A checkpoint in the hub's format, in a local folder or on the hub: only the files and tensors that are needed."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from ..errors import ExpclipError, UsageError, reason
from ..manifests.stand_ins import refuse_stand_in
from . import hub
from .configuration import read_object
from .hashes import Hashes

if TYPE_CHECKING:
    import torch

INDEX = "model.safetensors.index.json"
WHOLE = "model.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """The files of one model."""

    place: str
    """A local folder, or OWNER/REPOSITORY on the hub."""
    is_local: bool

    def here(self, name: str) -> Path | None:
        """Path of a file if it is on this machine."""
        if not self.is_local:
            return hub.cached(self.place, name)
        path = Path(self.place) / name
        return path if path.is_file() else None

    def file(self, name: str) -> Path:
        """Path of a file, downloaded from the hub if necessary. Raises ExpclipError where there is none."""
        path = self.here(name)
        if path is not None:
            refuse_stand_in(path)
            return path
        if not self.is_local:
            return hub.fetch(self.place, name)
        if not Path(self.place).is_dir():
            raise UsageError(f"there is no folder {self.place}")
        raise UsageError(f"{self.place} has no {name}: copy all files of the model there")

    def first(self, names: Sequence[str], may_ask: bool = True) -> str | None:
        """The first of some files that the checkpoint has; those on this machine come before the hub's, if asked."""
        here = next(filter(self.here, names), None)
        if here or self.is_local or not may_ask:
            return here
        return next((name for name in names if hub.etag(self.place, name) is not None), None)

    def sha256(self, name: str, hashes: Hashes) -> str:
        """SHA-256 of a file; from the hub's own records where it is not downloaded yet."""
        recorded = None if self.is_local or self.here(name) else hub.recorded_sha256(self.place, name)
        return recorded or hashes.sha256(self.file(name))

    def json(self, name: str) -> dict[str, Any]:
        """The content of a JSON file. Raises ExpclipError where it is not a JSON object."""
        return read_object(self.file(name))

    def tensors(self) -> dict[str, str]:
        """The safetensors file that holds each tensor; only the index, or the only file, is opened."""
        found = self.first((INDEX, WHOLE))
        if found == INDEX:
            return self._index()
        if found == WHOLE:
            with _opened(self.file(WHOLE), "np") as tensors:  # which of their names imports no torch
                return dict.fromkeys(tensors.keys(), WHOLE)
        raise UsageError(f"{self.place} has neither {INDEX} nor {WHOLE}: other formats are not supported")

    def read(self, names: Iterable[str]) -> "Iterator[tuple[str, torch.Tensor]]":
        """Some tensors, file by file; no other bytes of the files are read.

        A tensor is a view of its file, which is opened for it alone: once the tensor is dropped, its pages are free.
        """
        holder = self.tensors()
        for name in sorted(names, key=lambda name: (holder[name], name)):
            with _opened(self.file(holder[name]), "pt") as tensors:
                tensor = tensors.get_tensor(name)
            yield name, tensor

    def _index(self) -> dict[str, str]:
        holder = self.json(INDEX).get("weight_map")
        if not isinstance(holder, dict) or not all(isinstance(shard, str) for shard in holder.values()):
            raise ExpclipError(f"{self.place}: {INDEX} has no usable `weight_map`: download it again")
        for shard in set(holder.values()):
            if "/" in shard or "\\" in shard or not shard.endswith(".safetensors"):
                raise UsageError(
                    f"{self.place}: {INDEX} names {shard!r}, which is not a .safetensors file beside it and is not "
                    f"followed: download the index again from where the model comes from"
                )
        return holder


@contextmanager
def _opened(path: Path, framework: str) -> Iterator[Any]:
    try:
        with safe_open(path, framework=framework) as tensors:
            yield tensors
    except (SafetensorError, OSError, RuntimeError) as error:
        raise ExpclipError(f"{path}: not a complete safetensors file ({reason(error)}): download it again") from error
