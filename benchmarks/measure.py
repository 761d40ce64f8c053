"""What the benchmarks share: they run several things in turn, so that ratios hold where absolute times do not.

`python benchmarks/NAME.py --help` tells what a benchmark takes.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expclip.manifests.classes import CLASSES
from expclip.manifests.faces import sample_face
from PIL import Image


@dataclass(frozen=True)
class Row:
    """One line of the table: a figure, what it is held against, and the bound of their ratio."""

    what: str
    figure: str
    limit: str
    """What the figure is a ratio of, or the bound itself where it has a unit."""
    ratio: float
    bound: float
    is_least: bool = False
    """Whether the bound is what there must be at least; else it is what there may be at most."""

    @property
    def holds(self) -> bool:
        return self.ratio >= self.bound if self.is_least else self.ratio <= self.bound


def parser(description: str | None, **defaults: Any) -> argparse.ArgumentParser:
    """A parser with one option for each default."""
    made = argparse.ArgumentParser(description=description)
    for name, default in defaults.items():
        made.add_argument(f"--{name}", type=type(default), default=default, help="default: %(default)s")
    return made


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """The seconds something takes, and what it returns."""
    started = time.perf_counter()
    result = run()
    return time.perf_counter() - started, result


def in_turn(
    runs: Mapping[str, Callable[[], Any]], repeats: int, summary: Callable[[list[float]], float] = min
) -> dict[str, float]:
    """The seconds that each run takes, the best of `repeats` unless another summary is asked for."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            times[name].append(timed(run)[0])
    return {name: summary(some) for name, some in times.items()}


def in_python(*words: str) -> None:
    """Run a Python of its own, and let nothing of what it prints be seen. Raises where it fails."""
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def draw_faces(folder: Path, count: int, by_class: bool = False) -> None:
    """JPEG faces of 224 pixels in a new folder, or in one for each of seven classes in it."""
    for k in range(count):
        label = k % 7 if by_class else None
        place = folder if label is None else folder / CLASSES[label]
        place.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(sample_face(1, k, label).draw()).resize((224, 224))
        picture.save(place / f"{k:05d}.jpg", quality=92)


def show(took: Mapping[str, float], work: float, unit: str) -> None:
    """Print the seconds of each run, its rate (`work` over seconds), and its ratio to the first one's."""
    first = next(iter(took))
    for name, seconds in took.items():
        ratio = seconds / took[first]
        print(f"{name:20} {seconds:9.4f} s  {work / seconds:9.1f} {unit}  {ratio:6.3f} × the time of {first}")
