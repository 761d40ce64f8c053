"""What memory this machine has left, and how much of it this process has used."""

import sys
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def free_memory() -> int:
    """Bytes that can be taken without swapping, within what a container may use."""
    import psutil  # where nothing is fitted, there is no need of it

    free = psutil.virtual_memory().available
    try:
        most = int((_CGROUP / "memory.max").read_text())
        used = int((_CGROUP / "memory.current").read_text())
        kept = dict(line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        return free
    return min(free, max(0, most - used + int(kept.get("inactive_file", 0))))


def peak_memory() -> int:
    """Most bytes that this process had in memory so far."""
    status = Path("/proc/self/status")
    if status.is_file():  # there getrusage counts what the process was before it became another program
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return 1024 * int(line.split()[1])
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
