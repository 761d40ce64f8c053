"""Which file a name means, and what it holds, found without building a model."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from ...errors import ExpclipError, UsageError, option, reason
from ..checkpoint import Checkpoint
from ..hashes import Hashes
from ..names import RANDOM, file_name
from ..weights import ModelFiles
from .layout import HEAD, REAL, Layout, Shapes, described, head_shapes

if TYPE_CHECKING:
    import torch

RANDOM_SEED = 0
_TEXT = "text_projection"
"""A tensor that only a text tower has."""


@dataclass(frozen=True)
class FileModel:
    """A model of a family of files that was found."""

    name: str
    layout: Layout
    path: Path | None
    """None for random weights."""
    config: dict[str, Any]
    """Of its CLIP, in open_clip's words."""
    has_text: bool
    """Whether its text tower is its own."""
    origin: dict[str, Any]
    """What the weights are: the SHA-256 of their file, or how random ones are drawn."""

    @property
    def where(self) -> str:
        """For messages."""
        return f"{option('clip')} {self.layout.word}@{self.path or RANDOM}"

    @property
    def architecture(self) -> dict[str, Any]:
        """The same for both towers, and no other family's."""
        return {"family": self.layout.word, **self.config}

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the user should know of it."""
        return () if self.has_text else ("its file has no text tower, so texts are read by plain CLIP's",)

    @property
    def untrained(self) -> bool:
        return self.path is None


def find(layout: Layout, text: str, hashes: Hashes) -> FileModel:
    """The model that a text names. Raises UsageError where there is no such file, or it is none of the family."""
    asked = file_name(layout.word, "", text)
    if not asked.is_path:
        origin = {"random_seed": RANDOM_SEED, "open_clip": version("open_clip_torch"), "torch": version("torch")}
        return FileModel(asked.canonical, layout, None, {**REAL, "quick_gelu": layout.quick_gelu}, True, origin)
    checkpoint, path = _place(asked.source)
    where = f"{option('clip')} {text}"
    instead = f"write the file that `weights convert {layout.word}` made, or random"
    if not path.is_file():
        raise UsageError(f"{where}: there is no file {path}: {instead}")
    if path.suffix != ".safetensors":
        raise UsageError(
            f"{where}: run `expclip weights convert {layout.word} {path}`, and write the file that it makes"
        )
    shapes = _shapes(checkpoint.file(path.name))
    try:
        config = described(shapes, layout)
    except ValueError as error:
        raise UsageError(f"{where}: {path} does not hold these weights ({error}): {instead}") from error
    origin = {"sha256": checkpoint.sha256(path.name, hashes)}
    return FileModel(asked.canonical, layout, path, config, _TEXT in shapes, origin)


def _place(source: str) -> tuple[Checkpoint, Path]:
    path = Path(source).expanduser().absolute()
    return Checkpoint(str(path.parent), is_local=True), path


def files_of(layout: Layout, text: str, fetch: bool = False) -> ModelFiles:
    """The file of a model, on this machine or not: there is nowhere to fetch it from."""
    asked = file_name(layout.word, "", text)
    if not asked.is_path:
        return ModelFiles(asked.canonical, None, ())
    checkpoint, path = _place(asked.source)
    return ModelFiles(asked.canonical, checkpoint, (path.name,))


def has_text(path: Path) -> bool:
    """Whether a file holds a text tower. Raises ExpclipError where it is no whole safetensors file."""
    return _TEXT in _shapes(path)


def _shapes(path: Path) -> Shapes:
    """Of all tensors of a file, of which nothing else is read."""
    try:
        with safe_open(path, framework="np") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ExpclipError(f"{path}: not a complete safetensors file ({reason(error)}): convert it again") from error


def head_weights(model: FileModel) -> "Mapping[str, torch.Tensor]":
    """The tensors of a clip head in float32, by their names without `clip_head.`."""
    if model.path is None:
        return drawn(head_shapes(model.layout, {}, model.config["embed_dim"]))
    return {name.removeprefix(HEAD): tensor.float() for name, tensor in tensors_of(model.path, HEAD).items()}


def tensors_of(path: Path, before: str | tuple[str, ...]) -> "dict[str, torch.Tensor]":
    """The tensors of a file whose names begin so. Raises ExpclipError where they cannot be read or are quantised."""
    from ..state_dict import require_loadable

    require_loadable(path)
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys() if name.startswith(before)}  # noqa: SIM118
    except (SafetensorError, OSError, RuntimeError) as error:
        raise ExpclipError(f"{path}: these weights cannot be read ({reason(error)}): convert them again") from error


def drawn(shapes: Shapes) -> "dict[str, torch.Tensor]":
    """Random weights of a clip head: matrices that keep lengths, norms and biases that change nothing."""
    import torch

    generator = torch.Generator().manual_seed(RANDOM_SEED)
    found = {}
    for name, shape in shapes.items():
        if name.endswith("bias"):
            value = torch.zeros(shape)
        elif "norm" in name:
            value = torch.ones(shape)
        else:
            value = torch.empty(shape).normal_(std=shape[-1] ** -0.5, generator=generator)
        found[name.removeprefix(HEAD)] = value
    return found
