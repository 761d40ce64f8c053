"""The device, and the dtype of each part of each model."""

import os
import re
import sys
from collections import Counter
from collections.abc import Iterable
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
ALL_GPUS = "cuda:all"
VISIBLE = "CUDA_VISIBLE_DEVICES"
"""The variable by which a process sees some GPUs only. CUDA reads it once, when it starts."""
_INDEX = "(?:0|[1-9][0-9]{0,5})"


def resolve_device(name: str | None) -> str:
    """The device asked for, or the best there is: cuda, then mps, then cpu. Raises UsageError if it is not there.

    Of several GPUs it is the first. torch is only asked where there may be another device than the CPU.
    """
    if name in (None, "auto"):
        if not may_have_accelerator():
            return "cpu"
        count = _count()
        return next(kind for kind in count if count[kind])
    if is_several(name):
        return f"cuda:{gpu_numbers(name)[0]}"
    kind, index = _parsed(name)
    _refuse_missing(name, index, 1 if kind == "cpu" else _count()[kind])
    return name


def _parsed(name: str) -> tuple[str, int]:
    """The kind of one device, and its number. Raises UsageError for what is no device."""
    found = re.fullmatch(f"(cpu|cuda|mps)(?::({_INDEX}))?", name)
    if found is None:
        several = f"for several GPUs {ALL_GPUS} or cuda:N,M"
        raise UsageError(f"{option('device')} {name!r}: choose cpu, cuda, cuda:N or mps, or {several}")
    return found[1], int(found[2] or 0)


def device_elsewhere(name: str) -> str:
    """What workers of other machines call a device that was asked for; nothing is looked for on this one.

    Each of several GPUs is the only one that its worker sees. Raises UsageError for what is no device.
    """
    if is_several(name):
        return "cuda"
    _parsed(name)
    return name


def is_several(name: str | None) -> bool:
    """Whether a device is meant to be several GPUs."""
    return name is not None and (name == ALL_GPUS or (name.startswith("cuda:") and "," in name))


def gpu_numbers(name: str) -> tuple[int, ...]:
    """The numbers of several GPUs, as this process counts them, in the order asked for.

    Raises UsageError for one that is not there or is named twice.
    """
    if name != ALL_GPUS and not re.fullmatch(f"cuda:{_INDEX}(?:,{_INDEX})+", name):
        raise UsageError(
            f"{option('device')} {name!r}: write numbers with a comma between them, for example cuda:0,1"
        )
    there = _gpus_here()
    numbers = range(there) if name == ALL_GPUS else [int(one) for one in name.removeprefix("cuda:").split(",")]
    _refuse_missing(name, max(numbers, default=0), there)
    names = gpu_names(numbers)
    twice = [one for one, count in Counter(names).items() if count > 1]
    if twice:
        raise UsageError(f"{option('device')} {name}: the GPU {twice[0]} is named twice{_limited()}: name each once")
    return tuple(numbers)


def gpu_names(numbers: Iterable[int]) -> tuple[str, ...]:
    """What the variable says in a process that sees only one of this process's GPUs, for each of some."""
    visible = _visible()
    return tuple(visible[number] if visible else str(number) for number in numbers)


def _gpus_here() -> int:
    """How many GPUs this process sees. Of parts of GPUs (MIG) it sees one, but other processes may see the others."""
    visible, count = _visible(), _count()["cuda"]
    if visible is None:
        return count
    are_parts = count > 0 and all(one.startswith("MIG-") for one in visible)
    return len(visible) if are_parts else min(count, len(visible))


def _visible() -> list[str] | None:
    """The GPUs that the variable names, by number, UUID or part; None where it is not set, and all are seen."""
    said = os.environ.get(VISIBLE)
    return None if said is None else [one.strip() for one in said.split(",")]


def _limited() -> str:
    said = os.environ.get(VISIBLE)
    return "" if said is None else f" ({VISIBLE} is {said!r})"


def _refuse_missing(name: str, index: int, there: int) -> None:
    limited = _limited() if name.startswith("cuda") else ""
    if not there:
        raise UsageError(f"{option('device')} {name}: torch {version('torch')} can use none on this machine{limited}")
    if index >= there:
        raise UsageError(f"{option('device')} {name}: this machine has {there}, numbered from 0{limited}")


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
