"""Whether the processor multiplies bfloat16, as Linux says of its cores."""

import sys

import pytest
from expclip.encoders import processor


@pytest.fixture
def says(tmp_path, monkeypatch):
    """Asks on a machine whose /proc/cpuinfo holds some bytes; None for one that has none."""

    def ask(cpuinfo: bytes | None) -> bool:
        file = tmp_path / "cpuinfo"
        if cpuinfo is not None:
            file.write_bytes(cpuinfo)
        monkeypatch.setattr(processor, "_CPUINFO", file)
        return processor.multiplies_bfloat16.__wrapped__()

    return ask


X86 = b"processor\t: 0\nmodel name\t: bf16 avx512_bf16\nflags\t\t: fpu avx2 avx512f%s\nbugs\t\t: spectre_v1 bf16\n\n"
ARM = b"processor\t: 0\nFeatures\t: fp asimd%s\nCPU part\t: 0xd40\n\n"


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        (X86 % b" avx512_bf16 clzero", True),
        (X86 % b" amx_tile amx_bf16", True),
        (2 * (X86 % b" avx512_bf16"), True),
        (X86 % b" avx512_vnni amx_tile avx_ne_convert", False),
        (X86 % b" avx512_bf16" + X86 % b"", False),
        (X86 % b"" + X86 % b" avx512_bf16", False),
        (ARM % b" i8mm bf16", True),
        (ARM % b" i8mm svebf16", False),
        (ARM % b" bf16" + ARM % b"", False),
        (b"flags\n", False),
        (b"isa : rv64imafdc\n", False),
        (b"\xff\xfe\x00", False),
        (b"", False),
        (None, False),
    ],
)
def test_a_processor_multiplies_bfloat16_where_every_core_is_said_to(says, cpuinfo, expected):
    assert says(cpuinfo) is expected


def test_a_folder_in_its_place_says_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(processor, "_CPUINFO", tmp_path)
    assert processor.multiplies_bfloat16.__wrapped__() is False


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the file")
def test_this_machine_says_something_of_its_cores():
    said = processor._CPUINFO.read_text(errors="replace")
    assert any(line.startswith(("flags", "Features")) for line in said.splitlines())
