"""`expclip doctor`: versions, devices, number formats, and every encoder tried against float32 on the CPU."""

import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import torch

from ..encoders.models import Models
from ..encoders.node import Node
from ..encoders.precision import DTYPES, DType, resolve_device, torch_dtype
from ..encoders.wording import reason
from ..manifests.faces import draw_face, sample_face

_PACKAGES = (
    *("expclip", "torch", "open_clip_torch", "transformers", "huggingface_hub", "safetensors", "tokenizers"),
    *("numpy", "pillow", "zarr", "h5py", "dask"),
)
_MODEL = "miniature"
_FACES = 8
_TEXTS = ["a happy face", "a sad face", "an angry person", "a photo of a frightened person"]
TOLERANCES: dict[DType, float] = {"float32": 0.01, "float16": 0.05, "bfloat16": 0.05}
"""Largest relative error. Of bfloat16's 8 significant bits some 1 % is left after the miniature's layers; T5 runs in
it beside float16 towers too. A GPU may round float32 convolutions to 10 bits (TF32)."""


@dataclass(frozen=True)
class Device:
    """A processor that torch can use, and in which number formats it multiplies matrices right."""

    name: str
    """As --device takes it."""
    what: str
    formats: tuple[DType, ...]


@dataclass(frozen=True)
class Trial:
    """One encoder of the miniature models, compared with float32 on the CPU."""

    node: str
    device: str
    dtype: DType
    error: float | None
    """Norm of the difference over that of the reference, both about their means over inputs; None if it failed."""
    tolerance: float
    problem: str = ""

    @property
    def passed(self) -> bool:
        return self.error is not None and self.error <= self.tolerance


@dataclass(frozen=True)
class Examination:
    """What the doctor found."""

    versions: dict[str, str]
    devices: tuple[Device, ...]
    trials: tuple[Trial, ...]
    remarks: tuple[str, ...]

    @property
    def healthy(self) -> bool:
        return all(trial.passed for trial in self.trials)


def examine(asked_device: str | None = None) -> Examination:
    """Try every encoder path on a device (by default the best here) against float32 on the CPU.

    On a GPU in float32 and in the number formats that it uses by default, on a CPU in bfloat16. Needs neither a
    network nor downloaded weights. Raises UsageError for a device that is not there.
    """
    device = resolve_device(asked_device)
    is_cpu = device == "cpu"
    remarks = ["no GPU was tried: bfloat16 is compared with float32, both on the CPU"] if is_cpu else []
    dtypes: Sequence[DType] = ("bfloat16",) if is_cpu else ("float32", "float16")
    reference = _Reference()
    trials = [_try(reference, name, device, dtype) for dtype in dtypes for name in reference.nodes]
    return Examination(_versions(), tuple(_devices()), tuple(trials), tuple(remarks))


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), "system": platform.platform()} | {
        package: version(package) for package in _PACKAGES
    }


def _devices() -> Iterator[Device]:
    capability = torch.backends.cpu.get_cpu_capability()
    what = f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, {capability}"
    yield Device("cpu", what, _formats("cpu"))
    for index in range(torch.cuda.device_count()):
        known = torch.cuda.get_device_properties(index)
        what = f"{known.name}, {known.total_memory / 2**30:.0f} GiB, compute capability {known.major}.{known.minor}"
        yield Device(f"cuda:{index}", what, _formats(f"cuda:{index}"))
    if torch.backends.mps.is_available():
        yield Device("mps", "Apple GPU", _formats("mps"))


def _formats(device: str) -> tuple[DType, ...]:
    return tuple(dtype for dtype in DTYPES if _multiplies(device, torch_dtype(dtype)))


def _multiplies(device: str, dtype: torch.dtype) -> bool:
    """Whether a small product of whole numbers, exact in every format, comes out right."""
    a = torch.arange(16.0).reshape(4, 4)
    try:
        product = a.to(device, dtype) @ torch.eye(4).to(device, dtype)
        return bool((product.float().cpu() == a).all())
    except RuntimeError:
        return False


def _nodes(models: Models) -> dict[str, Node]:
    llm = models.llm(_MODEL, "related-1")
    assert llm.parent is not None
    nodes = (models.clip_image(_MODEL), models.clip_text(_MODEL), llm.parent, llm)
    return {node.name: node for node in nodes}


class _Reference:
    """What every encoder is given, and what it gives in float32 on the CPU."""

    def __init__(self) -> None:
        self.nodes = _nodes(Models(asked_device="cpu", asked_dtype="float32"))
        self.inputs: dict[str, object] = {"clip_text": _TEXTS}
        self.features: dict[str, np.ndarray] = {}
        for name, node in self.nodes.items():
            if node.squash is not None:
                self.inputs[name] = _faces(node.squash.size)
            if node.parent is not None:
                # as the cache stores them, and the same for all: every encoder is tried by itself
                self.inputs[name] = self.features[node.parent.name].astype(np.float16)
            self.features[name] = node.load("cpu")(self.inputs[name])


def _faces(size: int) -> np.ndarray:
    """(n, size, size, 3) uint8: built-in faces, one an expression."""
    faces = [sample_face(0, k, k) for k in range(_FACES)]
    return np.stack([draw_face(face.action_units, face.appearance, face.view, size) for face in faces])


def _try(reference: _Reference, name: str, device: str, dtype: DType) -> Trial:
    tolerance = TOLERANCES[dtype]
    try:
        node = _nodes(Models(asked_device=device, asked_dtype=dtype))[name]
        found = node.load(device)(reference.inputs[name])
    except Exception as error:  # whatever a driver or a library raises is what the doctor is for
        return Trial(name, device, dtype, None, tolerance, reason(error))
    if not np.isfinite(found).all():
        return Trial(name, device, dtype, None, tolerance, "its features are no finite numbers")
    error = _relative_error(found, reference.features[name])
    problem = "" if error <= tolerance else "its features are not those of the CPU"
    return Trial(name, device, dtype, error, tolerance, problem)


def _relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """About the means: what all inputs have in common would hide an encoder that does not look at them."""
    there, here = (one.astype(np.float64) - one.mean(axis=0, dtype=np.float64) for one in (expected, found))
    return float(np.linalg.norm(here - there) / np.linalg.norm(there))
