"""Which GPUs `cuda:all` and `cuda:0,1` are, and what each worker's CUDA_VISIBLE_DEVICES is; the GPUs are made up."""

import pytest
import torch
from expclip.encoders import dtypes
from expclip.encoders.dtypes import PartDTypes, gpu_names, gpu_numbers, is_several, resolve_device
from expclip.encoders.families import Models
from expclip.errors import UsageError


@pytest.fixture
def machine(monkeypatch):
    """A machine with some GPUs, of which a process may be given some by the variable."""
    monkeypatch.setattr(dtypes, "may_have_accelerator", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)

    def made(count: int, visible: str | None = None) -> None:
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    return made


@pytest.mark.parametrize(
    ("count", "visible", "asked", "expected"),
    [
        (4, None, "cuda:all", ("0", "1", "2", "3")),
        (4, None, "cuda:0,2", ("0", "2")),
        (4, None, "cuda:1,0", ("1", "0")),
        (1, None, "cuda:all", ("0",)),
        (3, "4,2,7", "cuda:all", ("4", "2", "7")),
        (3, "4,2,7", "cuda:2,0", ("7", "4")),
        (2, " 4 , 2 ", "cuda:all", ("4", "2")),
        (2, "GPU-8932f937,GPU-123", "cuda:all", ("GPU-8932f937", "GPU-123")),
        (1, "MIG-a,MIG-GPU-b/1/0", "cuda:all", ("MIG-a", "MIG-GPU-b/1/0")),
        (1, "MIG-a,MIG-GPU-b/1/0", "cuda:1,0", ("MIG-GPU-b/1/0", "MIG-a")),
        (1, "3,9", "cuda:all", ("3",)),
        (2, "5,6,-1,7", "cuda:all", ("5", "6")),
    ],
    ids=lambda value: str(value),
)
def test_the_gpus_that_a_process_sees_are_given_one_to_each_worker(machine, count, visible, asked, expected):
    machine(count, visible)
    models = Models(asked_device=asked)
    assert models.gpus == gpu_names(gpu_numbers(asked)) == expected
    assert models.device == "cuda", "the only one that a worker sees"
    assert models.here == resolve_device(asked) == f"cuda:{gpu_numbers(asked)[0]}"


@pytest.mark.parametrize(
    ("count", "visible", "asked", "message"),
    [
        (0, None, "cuda:all", "device cuda:all: torch .* can use none on this machine$"),
        (0, None, "cuda:0,1", "can use none on this machine$"),
        (0, "", "cuda:all", r"can use none on this machine \(CUDA_VISIBLE_DEVICES is ''\)"),
        (0, "-1", "cuda:all", r"can use none on this machine \(CUDA_VISIBLE_DEVICES is '-1'\)"),
        (0, "0,0", "cuda:all", r"can use none on this machine \(CUDA_VISIBLE_DEVICES is '0,0'\)"),
        (2, "0,0", "cuda:all", r"the GPU 0 is named twice \(CUDA_VISIBLE_DEVICES is '0,0'\): name each once"),
        (2, None, "cuda:0,1,0", "device cuda:0,1,0: the GPU 0 is named twice: name each once"),
        (2, None, "cuda:0,2", "device cuda:0,2: this machine has 2, numbered from 0$"),
        (2, "5,6", "cuda:5,6", r"this machine has 2, numbered from 0 \(CUDA_VISIBLE_DEVICES is '5,6'\)"),
        (1, "5,6", "cuda:0,1", r"this machine has 1, numbered from 0 \(CUDA_VISIBLE_DEVICES is '5,6'\)"),
        *((2, None, f"cuda:{said}", "write numbers with a comma between them") for said in ("0,", ",1", ",", "0,,1")),
        *((2, None, f"cuda:{said}", "write numbers with a comma between them") for said in ("0, 1", "00,1", "-1,0")),
        *((2, None, f"cuda:{said}", "write numbers with a comma between them") for said in ("all,1", "0,cuda:1")),
        *((2, None, said, "choose cpu, cuda, cuda:N or mps") for said in ("cuda:", "cuda:ALL", "mps:0,1", "cpu:all")),
    ],
)
def test_several_gpus_that_cannot_be_had_are_one_line(machine, count, visible, asked, message):
    machine(count, visible)
    for look in (resolve_device, lambda name: Models(asked_device=name).device):
        with pytest.raises(UsageError, match=message) as error:
            look(asked)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("asked", [None, "auto", "cuda", "cuda:1", "cpu"])
def test_one_device_stays_one(machine, asked):
    machine(2)
    models = Models(asked_device=asked)
    assert not is_several(asked)
    assert models.gpus == ()
    assert models.device == models.here == resolve_device(asked)


@pytest.mark.parametrize(
    ("asked", "device", "here"),
    [("cuda:all", "cuda", "cpu"), ("cuda", "cuda", "cpu"), ("cuda:1", "cuda:1", "cpu"), ("cpu", "cpu", "cpu")],
)
def test_gpus_of_other_machines_are_not_looked_for_on_this_one(machine, asked, device, here):
    machine(0)
    models = Models(asked_device=asked, is_elsewhere=True)
    assert (models.device, models.here, models.gpus) == (device, here, ())
    assert PartDTypes(models.device).tower == ("float32" if asked == "cpu" else "float16")


@pytest.mark.parametrize("asked", ["cuda:one", "cudas", "cuda:"])
def test_what_is_no_device_is_none_elsewhere(machine, asked):
    machine(0)
    with pytest.raises(UsageError, match="choose cpu, cuda, cuda:N or mps"):
        _ = Models(asked_device=asked, is_elsewhere=True).device
