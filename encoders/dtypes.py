"""The device, and the dtype of each part of each model."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ..errors import UsageError, option

if TYPE_CHECKING:
    import torch

DType = Literal["float32", "float16", "bfloat16"]
DTYPES: tuple[DType, ...] = ("float32", "float16", "bfloat16")


_DEVICE = re.compile("(cpu|cuda|mps)(?::(0|[1-9][0-9]{0,5}))?")


def refuse_device(name: str | None) -> None:
    """Raise UsageError for what is the name of no device."""
    if name not in (None, "auto") and not _DEVICE.fullmatch(name):
        raise UsageError(f"{option('device')} {name!r}: choose cpu, cuda, cuda:N or mps")


def resolve_device(name: str | None) -> str:
    """The device asked for, or the best there is: cuda, then mps, then cpu. Raises UsageError if it is not there."""
    refuse_device(name)
    if name == "cpu":
        return name
    import torch

    count = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available()), "cpu": 1}
    found = _DEVICE.fullmatch(name or "auto")
    if found is None or name is None:
        return next(kind for kind in count if count[kind])
    kind, index = found[1], int(found[2] or 0)
    if not count[kind]:
        raise UsageError(f"{option('device')} {name}: torch {torch.__version__} can use none on this machine")
    if index >= count[kind]:
        raise UsageError(f"{option('device')} {name}: this machine has {count[kind]}, numbered from 0")
    return name


@dataclass(frozen=True)
class PartDTypes:
    """Dtypes part by part. `asked` is for the vision towers; T5 never runs in float16, which overflows."""

    device: str
    asked: str | None = None

    @property
    def tower(self) -> str:
        """CLIP, and BLIP-2's vision tower. BLIP-2's Q-Former and language projection are always float32."""
        return self.asked or ("float16" if self.device.startswith("cuda") else "float32")

    @property
    def t5(self) -> str:
        return "float32" if self.asked == "float32" else "bfloat16"


def torch_dtype(name: str) -> "torch.dtype":
    """torch's own dtype of a name."""
    import torch

    return getattr(torch, name)
