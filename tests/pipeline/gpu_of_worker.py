"""What tests ask of Dask's workers that are to see one GPU each; a module that these can import."""

import os
import sys
import threading
import time
from pathlib import Path

import numpy as np
from fake_encoders import image_features

VISIBLE = "CUDA_VISIBLE_DEVICES"
ENVIRON = Path("/proc/self/environ")
"""Where Linux tells with which variables a process was started, whatever it did with its copy since."""


def seen() -> tuple[str | None, int]:
    """The GPUs that this process sees, and its number."""
    return os.environ.get(VISIBLE), os.getpid()


def born_with() -> list[str]:
    """The same as the process was started."""
    variables = ENVIRON.read_bytes().decode().split("\0")
    return [one.partition("=")[2] for one in variables if one.startswith(f"{VISIBLE}=")]


def has_torch() -> bool:
    return "torch" in sys.modules


class Busy:
    """An encoder that knows how many of its calls there were at once at most, over all threads of this process."""

    most = 0
    _now = 0
    _lock = threading.Lock()

    def __init__(self, device: str):
        pass

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        with Busy._lock:
            Busy._now += 1
            Busy.most = max(Busy.most, Busy._now)
        time.sleep(0.05)  # long enough that another one would be seen, if there may be any
        with Busy._lock:
            Busy._now -= 1
        return image_features(pixels)
