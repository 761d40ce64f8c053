"""A checkpoint in the hub's format, in a local folder or on the hub: only the files and tensors that are needed."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from ..errors import ExpclipError, UsageError
from .hashes import Hashes

_INDEX = "model.safetensors.index.json"
_WHOLE = "model.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """The files of one model."""

    place: str
    """A local folder, or OWNER/REPOSITORY on the hub."""
    is_local: bool

    def file(self, name: str) -> Path:
        """Path of a file, downloaded from the hub where it is not here yet. Raises ExpclipError if there is none."""
        if self.is_local:
            return self._local(name)
        from huggingface_hub import hf_hub_download

        try:
            return Path(hf_hub_download(self.place, name))
        except Exception as error:
            raise ExpclipError(self._unreachable(name, error)) from error

    def has(self, name: str) -> bool:
        """Whether the checkpoint has a file."""
        if self.is_local:
            return (Path(self.place) / name).is_file()
        from huggingface_hub import file_exists, try_to_load_from_cache

        if isinstance(try_to_load_from_cache(self.place, name), str):
            return True
        try:
            return file_exists(self.place, name)
        except Exception as error:
            raise ExpclipError(self._unreachable(name, error)) from error

    def sha256(self, name: str, hashes: Hashes) -> str:
        """SHA-256 of a file; from the hub's own records where it is not downloaded yet."""
        if self.is_local:
            return hashes.sha256(self._local(name))
        from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache

        cached = try_to_load_from_cache(self.place, name)
        if isinstance(cached, str):
            return hashes.sha256(Path(cached))
        try:
            etag = get_hf_file_metadata(hf_hub_url(self.place, name)).etag or ""
        except Exception as error:
            raise ExpclipError(self._unreachable(name, error)) from error
        return etag if re.fullmatch(r"[0-9a-f]{64}", etag) else hashes.sha256(self.file(name))

    def json(self, name: str) -> dict[str, Any]:
        path = self.file(name)
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ExpclipError(f"{path}: this is no JSON ({error})") from error

    def shards(self, prefixes: Sequence[str]) -> dict[str, list[str]]:
        """For every safetensors file that holds a tensor under one of the prefixes: the names of those tensors."""
        if self.has(_INDEX):
            holder: dict[str, str] = self.json(_INDEX)["weight_map"]
        elif self.has(_WHOLE):
            with _opened(self.file(_WHOLE)) as tensors:
                holder = dict.fromkeys(tensors.keys(), _WHOLE)
        else:
            raise UsageError(f"{self.place} has neither {_INDEX} nor {_WHOLE}: other formats are not read")
        wanted: dict[str, list[str]] = {}
        for tensor, shard in holder.items():
            if tensor.startswith(tuple(prefixes)):
                wanted.setdefault(Path(shard).name, []).append(tensor)
        if not wanted:
            raise UsageError(f"{self.place} holds no tensor under {', '.join(prefixes)}: is it a BLIP-2 with a T5?")
        return dict(sorted(wanted.items()))

    def weights_digests(self, prefixes: Sequence[str], hashes: Hashes) -> dict[str, str]:
        """SHA-256 of each file that holds a tensor under one of the prefixes."""
        return {name: self.sha256(name, hashes) for name in self.shards(prefixes)}

    def tensors(self, prefixes: Sequence[str]) -> Iterator[tuple[str, torch.Tensor]]:
        """The tensors under the prefixes, one after another; no other bytes of their files are read."""
        for shard, names in self.shards(prefixes).items():
            path = self.file(shard)
            with _opened(path) as tensors:
                for name in names:
                    try:
                        yield name, tensors.get_tensor(name)
                    except SafetensorError as error:
                        raise ExpclipError(f"{path}: {name} cannot be read ({error})") from error

    def _local(self, name: str) -> Path:
        path = Path(self.place) / name
        if not path.is_file():
            raise UsageError(
                f"{self.place} has no {name}" if Path(self.place).is_dir() else f"no folder {self.place}"
            )
        return path

    def _unreachable(self, name: str, error: Exception) -> str:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        return (
            f"{self.place}: {name} is not on this machine and could not be fetched ({reason}). Download the model "
            f"where there is a network and name its folder instead."
        )


def _opened(path: Path):
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise ExpclipError(f"{path}: this is no whole safetensors file ({error}): download it again") from error
