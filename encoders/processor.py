"""What the processor of this machine can do."""

from functools import cache
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_BFLOAT16 = {"avx512_bf16", "amx_bf16", "bf16"}
"""What Linux calls products in bfloat16, on x86 and on ARM."""


@cache
def multiplies_bfloat16() -> bool:
    """Whether every core multiplies matrices in bfloat16 itself, by what Linux says of it.

    Where one does not, that is emulated: T5 takes 6.5 times as long as in float32. Where nobody says, none does.
    """
    try:
        lines = (line.partition(":") for line in _CPUINFO.read_text(errors="replace").splitlines())
    except OSError:
        return False
    cores = [said.split() for name, _, said in lines if name.strip() in ("flags", "Features")]
    return bool(cores) and not any(_BFLOAT16.isdisjoint(features) for features in cores)
