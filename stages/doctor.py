"""`expclip doctor`: versions, devices, dtypes, and every encoder tried against float32 on the CPU."""

import os
import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import version

import numpy as np
import torch

from ..commands.doctor import Device, Doctor, Examination, Trial
from ..encoders.dtypes import DTYPES, DType, gpu_numbers, is_several, resolve_device, torch_dtype
from ..encoders.families import Models
from ..encoders.node import Node
from ..errors import reason
from ..manifests.faces import draw_face, sample_face

_PACKAGES = (
    *("expclip", "torch", "open_clip_torch", "transformers", "huggingface_hub", "safetensors", "tokenizers"),
    *("numpy", "pillow", "zarr", "h5py", "dask"),
)
_MODEL = "miniature"
_INSTRUCTION = "related-1"
_ORDER = ("clip_image", "clip_text", "query_tokens", "llm")
"""What is tried, each after what it is computed from; `llm_text` is the T5 of `llm`."""
_FACES = 8
_TEXTS = ["a happy face", "a sad face", "an angry person", "a photo of a frightened person"]
TOLERANCES: dict[DType, float] = {"float32": 0.01, "float16": 0.05, "bfloat16": 0.05}
"""Largest relative error. Of bfloat16's 8 significant bits some 1 % is left after the miniature's layers; T5 runs in
it beside float16 towers too. A GPU may round float32 convolutions to 10 bits (TF32)."""


def examine(request: Doctor) -> Examination:
    """Try every encoder path on a device (by default the best here), or on several GPUs, against float32 on the CPU.

    On a GPU in float32 and in the dtypes that it uses by default, on a CPU in bfloat16. Needs neither a
    network nor downloaded weights. Raises UsageError for a device that is not there.
    """
    devices = _tried(request.device)
    is_cpu = devices == ["cpu"]
    remarks = ["no GPU was tried: bfloat16 is compared with float32, both on the CPU"] if is_cpu else []
    dtypes: Sequence[DType] = ("bfloat16",) if is_cpu else ("float32", "float16")
    reference = _Reference()
    trials = [
        _try(reference, name, device, dtype) for device in devices for dtype in dtypes for name in reference.nodes
    ]
    versions = {"python": platform.python_version(), "system": platform.platform()}
    versions |= {package: version(package) for package in _PACKAGES}
    return Examination(versions, tuple(_devices()), tuple(trials), tuple(remarks))


def _tried(asked: str | None) -> list[str]:
    if asked is not None and is_several(asked):
        return [f"cuda:{number}" for number in gpu_numbers(asked)]
    return [resolve_device(asked)]


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


def _nodes(device: str, dtype: DType) -> dict[str, Node]:
    """The nodes that are tried."""
    models = Models(asked_device=device)
    return {name: models.node(name, _MODEL, dtype=dtype, instruction_name=_INSTRUCTION) for name in _ORDER}


class _Reference:
    """What every encoder is given, and what it gives in float32 on the CPU."""

    def __init__(self) -> None:
        self.nodes = _nodes("cpu", "float32")
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
    """(n, size, size, 3) uint8: built-in faces, one per expression."""
    faces = [sample_face(0, k, k) for k in range(_FACES)]
    return np.stack([draw_face(face.action_units, face.appearance, face.view, size) for face in faces])


def _try(reference: _Reference, name: str, device: str, dtype: DType) -> Trial:
    tolerance = TOLERANCES[dtype]
    try:
        node = _nodes(device, dtype)[name]
        found = node.load(device)(reference.inputs[name])
    except Exception as error:  # whatever a driver or a library raises is what the doctor is for
        return Trial(name, device, dtype, None, tolerance, reason(error))
    if not np.isfinite(found).all():
        return Trial(name, device, dtype, None, tolerance, "its features are not finite numbers")
    error = _relative_error(found, reference.features[name])
    problem = "" if error <= tolerance else "its features are not those of the CPU"
    return Trial(name, device, dtype, error, tolerance, problem)


def _relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """About the means: what all inputs have in common would hide an encoder that does not look at them."""
    there, here = (one.astype(np.float64) - one.mean(axis=0, dtype=np.float64) for one in (expected, found))
    return float(np.linalg.norm(here - there) / np.linalg.norm(there))
