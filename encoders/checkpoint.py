"""A checkpoint in the hub's format, in a local folder or on the hub: only the files and tensors that are needed."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from ..errors import ExpclipError, UsageError
from . import hub
from .hashes import Hashes
from .wording import reason

INDEX = "model.safetensors.index.json"
WHOLE = "model.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """The files of one model."""

    place: str
    """A local folder, or OWNER/REPOSITORY on the hub."""
    is_local: bool

    def file(self, name: str) -> Path:
        """Path of a file, downloaded from the hub where it is not here yet. Raises ExpclipError if there is none."""
        return self._local(name) if self.is_local else hub.fetch(self.place, name)

    def first(self, names: Sequence[str]) -> str | None:
        """The first of some files that the checkpoint has; one that is on this machine comes before all others."""
        if self.is_local:
            return next((name for name in names if (Path(self.place) / name).is_file()), None)
        here = next((name for name in names if hub.cached(self.place, name)), None)
        return here or next((name for name in names if hub.exists(self.place, name)), None)

    def sha256(self, name: str, hashes: Hashes) -> str:
        """SHA-256 of a file; from the hub's own records where it is not downloaded yet."""
        path = self._local(name) if self.is_local else hub.cached(self.place, name)
        if path is not None:
            return hashes.sha256(path)
        return hub.recorded_sha256(self.place, name) or hashes.sha256(self.file(name))

    def json(self, name: str) -> dict[str, Any]:
        """The content of a JSON file. Raises ExpclipError where it is no JSON object."""
        path = self.file(name)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ExpclipError(f"{path}: this is no JSON ({reason(error)}): download it again") from error
        if not isinstance(content, dict):
            raise ExpclipError(f"{path}: this is no JSON object: download it again")
        return content

    def tensors(self) -> dict[str, str]:
        """For every tensor, the safetensors file that holds it; no file but the index or the only one is opened."""
        found = self.first((INDEX, WHOLE))
        if found == INDEX:
            return self._index()
        if found == WHOLE:
            with _opened(self.file(WHOLE)) as tensors:
                return dict.fromkeys(tensors.keys(), WHOLE)
        raise UsageError(f"{self.place} has neither {INDEX} nor {WHOLE}: other formats are not read")

    def digests(self, names: Iterable[str], hashes: Hashes) -> list[str]:
        """SHA-256 of each file that holds one of some tensors, sorted: what the files are called does not matter."""
        holder = self.tensors()
        return sorted({self.sha256(shard, hashes) for shard in {holder[name] for name in names}})

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, torch.Tensor]]:
        """Some tensors, file by file and one after another; no other bytes of the files are read.

        A tensor is a view of its file, which is opened for it alone: once the tensor is dropped, its pages are free.
        """
        holder = self.tensors()
        for name in sorted(names, key=lambda name: (holder[name], name)):
            path = self.file(holder[name])
            with _opened(path) as tensors:
                try:
                    tensor = tensors.get_tensor(name)
                except (SafetensorError, OSError, RuntimeError) as error:
                    raise ExpclipError(
                        f"{path}: {name} cannot be read ({reason(error)}): download the file again"
                    ) from error
            yield name, tensor

    def _index(self) -> dict[str, str]:
        holder = self.json(INDEX).get("weight_map")
        if not isinstance(holder, dict) or not all(isinstance(shard, str) for shard in holder.values()):
            raise ExpclipError(f"{self.place}: {INDEX} has no usable `weight_map`: download it again")
        for shard in set(holder.values()):
            if "/" in shard or "\\" in shard or not shard.endswith(".safetensors"):
                raise UsageError(
                    f"{self.place}: {INDEX} names {shard!r}, which is no .safetensors file beside it, and is not "
                    f"followed: take the index from where the model comes from"
                )
        return holder

    def _local(self, name: str) -> Path:
        folder = Path(self.place)
        if not folder.is_dir():
            raise UsageError(f"there is no folder {folder}")
        if not (folder / name).is_file():
            raise UsageError(f"{folder} has no {name}: copy all files of the model there")
        return folder / name


def _opened(path: Path):
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        what = f"this is no whole safetensors file ({reason(error)})"
        raise ExpclipError(f"{path}: {what}: download it again") from error
