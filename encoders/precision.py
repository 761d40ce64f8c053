"""On which device, and with which number format in each part of each model."""

from dataclasses import dataclass
from typing import Literal

import torch

from ..errors import UsageError

DType = Literal["float32", "float16", "bfloat16"]
DTYPES: tuple[DType, ...] = ("float32", "float16", "bfloat16")


def resolve_device(name: str | None) -> str:
    """The device asked for, or the best there is: cuda, then mps, then cpu. Raises UsageError if it is not there."""
    count = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available()), "cpu": 1}
    if name in (None, "auto"):
        return next(kind for kind in count if count[kind])
    kind, _, index = name.partition(":")
    if kind not in count or (index or "0") != str(_number(index)):
        raise UsageError(f"--device {name!r}: choose cpu, cuda, cuda:N or mps")
    if not count[kind]:
        raise UsageError(f"--device {name}: this machine has none that torch {torch.__version__} can use")
    if _number(index) >= count[kind]:
        raise UsageError(f"--device {name}: this machine has {count[kind]}, numbered from 0")
    return name


def _number(index: str) -> int:
    return int(index) if index.isdecimal() else 0


@dataclass(frozen=True)
class Precision:
    """Number formats, part by part. `asked` overrides the towers'; T5 never runs in float16, which overflows."""

    device: str
    asked: DType | None = None

    @property
    def _tower(self) -> DType:
        return self.asked or ("float16" if self.device.startswith("cuda") else "float32")

    @property
    def clip(self) -> DType:
        return self._tower

    @property
    def vision(self) -> DType:
        """BLIP-2's vision tower. Its Q-Former and language projection are always float32."""
        return self._tower

    @property
    def t5(self) -> DType:
        return "float32" if self.asked == "float32" else "bfloat16"


def torch_dtype(name: DType) -> torch.dtype:
    return {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}[name]
