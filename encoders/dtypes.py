"""The device, and the dtype of each part of each model."""

import re
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..errors import UsageError, option
from .processor import multiplies_bfloat16

if TYPE_CHECKING:
    import torch

DType = Literal["float32", "float16", "bfloat16"]
DTYPES: tuple[DType, ...] = ("float32", "float16", "bfloat16")
T5_DTYPES: tuple[DType, ...] = ("float32", "bfloat16")
"""Those that a T5 runs in: float16 overflows."""
_DRIVERS = ("nvidia*", "nvhost*", "nvmap", "dxg", "kfd")
"""Files in /dev of the drivers of GPUs: NVIDIA's, those of its small boards, Windows' under Linux, and AMD's."""


def resolve_device(name: str | None) -> str:
    """The device asked for, or the best there is: cuda, then mps, then cpu. Raises UsageError if it is not there.

    torch is only asked where there may be another device than the CPU.
    """
    if name in (None, "auto"):
        if not may_have_accelerator():
            return "cpu"
        count = _count()
        return next(kind for kind in count if count[kind])
    found = re.fullmatch("(cpu|cuda|mps)(?::(0|[1-9][0-9]{0,5}))?", name)
    if found is None:
        raise UsageError(f"{option('device')} {name!r}: choose cpu, cuda, cuda:N or mps")
    kind, index = found[1], int(found[2] or 0)
    there = 1 if kind == "cpu" else _count()[kind]
    if not there:
        raise UsageError(f"{option('device')} {name}: torch {version('torch')} can use none on this machine")
    if index >= there:
        raise UsageError(f"{option('device')} {name}: this machine has {there}, numbered from 0")
    return name


def may_have_accelerator() -> bool:
    """Whether torch may find a GPU: on Linux, where there is one, its driver has made a file for it."""
    return sys.platform != "linux" or any(next(Path("/dev").glob(name), None) for name in _DRIVERS)


def _count() -> dict[str, int]:
    import torch

    return {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available()), "cpu": 1}


@dataclass(frozen=True)
class PartDTypes:
    """Dtypes part by part."""

    device: str
    asked: str | None = None
    """For the vision towers; T5 follows it as far as it can."""
    kept_t5: str | None = None
    """Of the T5 of features that are there and that these continue; None where there are none."""
    is_builtin: bool = False
    """Whether the model comes with expclip."""

    @property
    def tower(self) -> str:
        """CLIP, and BLIP-2's vision tower. BLIP-2's Q-Former and language projection are always float32."""
        return self.asked or ("float16" if self.device.startswith("cuda") else "float32")

    @property
    def t5(self) -> str:
        """As asked, else as kept, else bfloat16 as released, but float32 on a CPU that would only emulate that.

        A built-in model is float32 on every CPU, so that it gives the same on all machines.
        """
        known = self.asked or self.kept_t5
        if known is None and ((self.is_builtin and self.device.startswith("cpu")) or emulates_bfloat16(self.device)):
            known = "float32"
        return "float32" if known == "float32" else "bfloat16"


def emulates_bfloat16(device: str) -> bool:
    """Whether products in bfloat16 take longer there than in float32."""
    return device.startswith("cpu") and not multiplies_bfloat16()


def torch_dtype(name: str) -> "torch.dtype":
    """torch's own dtype of a name."""
    import torch

    return getattr(torch, name)
