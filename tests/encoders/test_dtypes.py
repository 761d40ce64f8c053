"""Devices and dtypes: what is used where, and what is refused."""

import pytest
import torch
from expclip.commands.extract import Extract
from expclip.encoders import dtypes
from expclip.encoders.dtypes import PartDTypes, resolve_device
from expclip.errors import UsageError


@pytest.mark.parametrize(
    ("device", "asked", "tower", "t5"),
    [
        ("cuda", None, "float16", "bfloat16"),
        ("cuda:1", None, "float16", "bfloat16"),
        ("mps", None, "float32", "bfloat16"),
        ("cuda", "float32", "float32", "float32"),
        ("cpu", "float16", "float16", "bfloat16"),
        ("cpu", "bfloat16", "bfloat16", "bfloat16"),
    ],
)
def test_each_part_has_a_dtype_and_the_t5_never_float16(device, asked, tower, t5):
    for is_builtin in (False, True):
        parts = PartDTypes(device, asked, is_builtin=is_builtin)
        assert (parts.tower, parts.t5) == (tower, t5)


@pytest.mark.parametrize("device", ["cpu", "cpu:0"])
@pytest.mark.parametrize(
    ("is_native", "asked", "kept", "is_builtin", "t5"),
    [
        (True, None, None, False, "bfloat16"),
        (False, None, None, False, "float32"),
        (True, None, None, True, "float32"),
        (False, None, None, True, "float32"),
        (True, None, "float32", False, "float32"),
        (False, None, "bfloat16", False, "bfloat16"),
        (False, None, "bfloat16", True, "bfloat16"),
        (True, "float32", "bfloat16", False, "float32"),
        (False, "bfloat16", "float32", False, "bfloat16"),
        (False, "bfloat16", None, True, "bfloat16"),
        (False, "float16", "float32", False, "bfloat16"),
    ],
)
def test_on_a_cpu_a_t5_is_as_asked_or_as_kept_or_as_the_processor_is_fast(
    monkeypatch, device, is_native, asked, kept, is_builtin, t5
):
    monkeypatch.setattr(dtypes, "multiplies_bfloat16", lambda: is_native)
    assert PartDTypes(device, asked, kept, is_builtin).t5 == t5


def test_what_is_kept_goes_on_on_a_gpu_too():
    assert PartDTypes("cuda", None, "float32").t5 == "float32"


@pytest.mark.parametrize(
    ("gpus", "asked", "expected"),
    [(0, None, "cpu"), (2, "auto", "cuda"), (2, "cuda:1", "cuda:1"), (2, "cpu", "cpu"), (0, "cpu:0", "cpu:0")],
)
def test_the_device_asked_for_or_the_best_there_is(monkeypatch, gpus, asked, expected):
    monkeypatch.setattr(dtypes, "may_have_accelerator", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert resolve_device(asked) == expected


@pytest.mark.parametrize(
    ("gpus", "asked", "message"),
    [
        (0, "cuda", "can use none on this machine"),
        (2, "cuda:2", "this machine has 2, numbered from 0"),
        (2, "cuda:one", "choose cpu, cuda, cuda:N or mps"),
        (2, "gpu", "choose cpu, cuda, cuda:N or mps"),
        (0, "mps", "can use none on this machine"),
    ],
)
def test_a_device_that_is_not_there_is_refused(monkeypatch, gpus, asked, message):
    monkeypatch.setattr(dtypes, "may_have_accelerator", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UsageError, match=message):
        resolve_device(asked)


def test_unknown_protocols_and_dtypes_are_refused():
    with pytest.raises(UsageError, match="protocol 'relased': choose released, paper or native"):
        Extract(datasets="photos", protocol="relased")
    with pytest.raises(UsageError, match="dtype 'half': choose float32, float16 or bfloat16"):
        Extract(datasets="photos", dtype="half")
