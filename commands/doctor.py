"""`expclip doctor`: versions, devices, dtypes, and every encoder tried against float32 on the CPU."""

from dataclasses import asdict, dataclass
from typing import Any

from ..encoders.dtypes import DType
from ..reports.console import print_line, print_table
from . import options
from .command import DONE, FAILED, Command, print_records
from .request import Request


class Doctor(Request, verb="doctor"):
    """Show versions and devices, and try every encoder on this machine's GPU against its CPU.

    The built-in miniature models are tried, offline; without a GPU bfloat16 is compared with float32. Ends with exit
    code 1 where an encoder fails or its features are not those of float32 on the CPU.
    """

    device: str | None = options.DEVICE.but(
        help="cpu, cuda, cuda:N or mps; cuda:all or cuda:0,1 tries several GPUs; `auto` is the best one here.",
        in_defaults=False,
    )


@dataclass(frozen=True)
class Device:
    """A processor that torch can use, and in which dtypes it multiplies matrices right."""

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


_DEVICES = {"device": "name", "what": "what", "dtypes": lambda one: ", ".join(one.formats)}
_TRIALS = {
    "encoder": "node",
    "device": "device",
    "dtype": "dtype",
    "error": lambda one: "–" if one.error is None else f"{one.error:.2%}",
    "allowed": lambda one: f"{one.tolerance:.0%}",
    "result": lambda one: "passed" if one.passed else f"failed: {one.problem}",
}


def show(request: Doctor, answer: Examination) -> None:
    """Versions, devices and trials."""
    print_table("Versions", ("what", "version"), list(answer.versions.items()))
    print_records("Devices", answer.devices, _DEVICES)
    print_records("Encoders against float32 on the CPU", answer.trials, _TRIALS)
    for remark in answer.remarks:
        print_line(remark)


def document(request: Doctor, answer: Examination) -> dict[str, Any]:
    """What --json prints."""
    trials = [asdict(one) | {"passed": one.passed} for one in answer.trials]
    return asdict(answer) | {"trials": trials, "healthy": answer.healthy}


def ending(request: Doctor, answer: Examination) -> int:
    """A failed trial is a failure."""
    return DONE if answer.healthy else FAILED


DOCTOR = Command(Doctor, "stages.doctor:examine", show, document, ending)
