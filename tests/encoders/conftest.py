"""Copies of the tiny models that a test may change, and pixels to show them."""

import hashlib
import json
import shutil
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from expclip.encoders import checkpoint
from expclip.encoders.families import Models
from expclip.encoders.node import Node
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

INDEX = "model.safetensors.index.json"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def teacher(tiny_models, tmp_path) -> Path:
    """A folder with a BLIP-2-T5 in eight shards, decoder included."""
    return Path(shutil.copytree(tiny_models / "teacher", tmp_path / "teacher"))


@pytest.fixture
def clip_folder(tiny_models, tmp_path) -> Path:
    """A folder with a CLIP as open_clip writes it."""
    return Path(shutil.copytree(tiny_models / "clip", tmp_path / "clip"))


class Nodes:
    """The nodes of models on the CPU, under one protocol and with one dtype."""

    def __init__(self, protocol: str = "released", dtype: str | None = "float32", memory: Path | None = None):
        self._models = Models(memory, "cpu")
        self._how = protocol, dtype

    def clip_image(self, clip: str) -> Node:
        return self._models.node("clip_image", clip, *self._how)

    def clip_text(self, clip: str) -> Node:
        return self._models.node("clip_text", clip, *self._how)

    def query_tokens(self, teacher: str) -> Node:
        return self._models.node("query_tokens", teacher, *self._how)

    def llm(self, teacher: str, instruction: str) -> Node:
        return self._models.node("llm", teacher, *self._how, instruction)

    def llm_text(self, teacher: str) -> Node:
        return self._models.node("llm_text", teacher, *self._how)


@pytest.fixture
def models() -> Callable[..., Nodes]:
    """Makes Nodes, in float32 unless told otherwise."""
    return Nodes


@pytest.fixture
def read_tensors() -> Callable[[Path], dict[str, torch.Tensor]]:
    """Reads all tensors of a folder."""

    def read(folder: Path) -> dict[str, torch.Tensor]:
        return {
            name: tensor for file in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(file).items()
        }

    return read


@pytest.fixture
def write_tensors() -> Callable[[Path, dict[str, torch.Tensor]], None]:
    """Replaces all tensors of a folder by others, in one file without an index."""

    def write(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
        for file in (*folder.glob("*.safetensors"), folder / INDEX):
            file.unlink(missing_ok=True)
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})

    return write


@pytest.fixture
def edit_json() -> Callable[..., None]:
    """Sets a value in a JSON file: edit_json(path, "text_config", "d_ff", value)."""

    def edit(path: Path, *keys_and_value) -> None:
        *parents, key, value = keys_and_value
        content = json.loads(path.read_text())
        inner = content
        for parent in parents:
            inner = inner[parent]
        inner[key] = value
        path.write_text(json.dumps(content))

    return edit


class Reads:
    """What is read of safetensors files."""

    def __init__(self):
        self.tensors: list[str] = []
        self.most_alive = 0
        """The largest number of tensors that were there at once as they were read."""
        self._alive: list[weakref.ref] = []

    def add(self, name: str, tensor: torch.Tensor) -> None:
        self.tensors.append(name)
        self._alive = [one for one in self._alive if one() is not None] + [weakref.ref(tensor)]
        self.most_alive = max(self.most_alive, len(self._alive))


@pytest.fixture
def reads(monkeypatch) -> Reads:
    """Grows with every tensor that is read."""
    record = Reads()
    open_file = checkpoint.safe_open

    class Recorded:
        def __init__(self, path, **options):
            self._file = open_file(path, **options)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def keys(self):
            return self._file.keys()

        def get_tensor(self, name):
            tensor = self._file.get_tensor(name)
            record.add(name, tensor)
            return tensor

    monkeypatch.setattr(checkpoint, "safe_open", Recorded)
    return record


@pytest.fixture
def offline(monkeypatch, tmp_path) -> Path:
    """An empty cache of the hub, which itself cannot be reached."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


@pytest.fixture
def put(offline):
    """Puts files into the hub's cache as its client does: put(repository, files)."""

    def do(repository: str, files: list[Path]) -> Path:
        folder = offline / f"models--{repository.replace('/', '--')}"
        snapshot = folder / "snapshots" / COMMIT
        for place in (folder / "blobs", folder / "refs", snapshot):
            place.mkdir(parents=True)
        (folder / "refs" / "main").write_text(COMMIT)
        for file in files:
            content = file.read_bytes()
            is_large = file.suffix == ".safetensors"
            name = (
                hashlib.sha256(content).hexdigest()
                if is_large
                else hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            )
            (folder / "blobs" / name).write_bytes(content)
            (snapshot / file.name).symlink_to(Path("../../blobs") / name)
        return snapshot

    return do
