"""Heads as others keep them: read where that is right, else one line, at a bounded cost."""

import os
import zipfile

import numpy as np
import pytest
import torch
from expclip import UsageError
from expclip.heads.foreign import read_weight

W = torch.randn(6, 8, generator=torch.Generator().manual_seed(0)).half().float()


def itself():
    content = {"epoch": 1}
    content["state_dict"] = content
    return content


def wrapped(times):
    content = {"weight": W}
    for _ in range(times):
        content = {"model": content}
    return content


RIGHT = {
    "a parameter": {"weight": torch.nn.Parameter(W)},
    "a module": torch.nn.Linear(8, 6, bias=False).requires_grad_().state_dict(keep_vars=True),
    "sparse": {"weight": W.to_sparse()},
    "sparse by rows": {"weight": W.to_sparse_csr()},
    "quantised": {"weight": torch.quantize_per_tensor(W, 0.1, 0, torch.qint8)},
    "quantised by channel": {
        "weight": torch.quantize_per_channel(
            W, torch.full((6,), 0.1), torch.zeros(6, dtype=torch.long), 0, torch.qint8
        )
    },
    "bfloat16": {"weight": W.bfloat16()},
    "float8": {"weight": W.to(torch.float8_e4m3fn)},
    "float64": {"weight": W.double()},
    "transposed": {"weight": W.T.contiguous().T},
    "with a count": {"weight": W, "steps": torch.tensor(0)},
    "in two wrappers": {"state_dict": {"model": {"weight": W}}},
}


@pytest.mark.parametrize("form", RIGHT)
def test_every_real_matrix_is_read_as_torch_has_it(tmp_path, form):
    torch.save(RIGHT[form], tmp_path / "head.pth")
    content = RIGHT[form]
    while "weight" not in content:
        content = next(iter(content.values()))
    weight = content["weight"].detach()
    weight = (
        weight.dequantize()
        if weight.is_quantized
        else weight.to_dense()
        if weight.layout != torch.strided
        else weight
    )
    np.testing.assert_array_equal(read_weight(tmp_path / "head.pth"), weight.float().numpy())


WRONG = {
    "an integer key": ({0: W}, r"here are 0 \(6, 8\)"),
    "a key that is a tensor": ({W: W}, "one matrix"),
    "complex": ({"weight": torch.complex(W, W)}, "complex64"),
    "whole numbers": ({"weight": W.int()}, "int32"),
    "truth": ({"weight": W > 0}, "bool"),
    "no values": ({"weight": W.to("meta")}, "no values"),
    "no rows": ({"weight": W[:0]}, "no values"),
    "one row": ({"weight": W[0]}, r"weight \(8,\)"),
    "three dimensions": ({"weight": W[None]}, r"weight \(1, 6, 8\)"),
    "NaN": ({"weight": W * torch.nan}, "not finite"),
    "infinite": ({"weight": W.double() * 1e300}, "not finite in float32"),
    "expanded": ({"weight": torch.zeros(1).expand(10**6, 10**6)}, "too many"),
    "sparse and huge": ({"weight": torch.sparse_coo_tensor([[0], [0]], [1.0], (10**6, 10**6))}, "too many"),
    "nested tensors": ({"weight": torch.nested.nested_tensor([W, W])}, "one matrix"),
    "a bias without values": ({"weight": W, "bias": torch.zeros(6, device="meta")}, "without bias"),
    "itself": (itself(), "no tensor"),
    "endless wrappers": (wrapped(100), "no tensor"),
    "a NumPy scalar": ({"weight": W, "epoch": np.float64(3)}, "holds more than tensors"),
    "many matrices": ({f"{k}.weight": W for k in range(5000)}, "and 4990 more"),
    "zeros": ({"weight": W * 0}, "all zero"),
    "a list": ([W], "no tensor"),
    "nothing": (None, "no tensor"),
}


@pytest.mark.parametrize("form", WRONG)
def test_anything_else_is_one_line(tmp_path, form):
    content, said = WRONG[form]
    torch.save(content, tmp_path / "head.pth")
    with pytest.raises(UsageError, match=said) as error:
        read_weight(tmp_path / "head.pth")
    assert str(error.value).startswith(f"{tmp_path / 'head.pth'}: ")
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x02.", b"\x80\x02]q\x00.", b"PK\x03\x04", b"\x80\x02K\x01.", b"x" * 100]
)
def test_a_file_that_is_none_of_torchs_is_one_line(tmp_path, content):
    for name in ("a.pth", "a.safetensors"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UsageError):
            read_weight(tmp_path / name)


def test_a_compressed_archive_is_not_unpacked(tmp_path):
    torch.save({"weight": torch.zeros(512, 512)}, tmp_path / "plain.pth")
    with zipfile.ZipFile(tmp_path / "plain.pth") as plain, zipfile.ZipFile(tmp_path / "a.pth", "w") as packed:
        for one in plain.namelist():
            packed.writestr(one, plain.read(one), zipfile.ZIP_DEFLATED)
    with pytest.raises(UsageError, match="compressed"):
        read_weight(tmp_path / "a.pth")


def with_pickle(path, make):
    """A sound head, whose pickle is replaced by what is made of it."""
    torch.save({"weight": W}, path)
    with zipfile.ZipFile(path) as sound:
        members = {one: sound.read(one) for one in sound.namelist()}
    with zipfile.ZipFile(path, "w") as made:
        for name, content in members.items():
            made.writestr(name, make(content) if name.endswith("data.pkl") else content)
    return path


def pairs_of_pairs(times):
    """Steps that leave a tuple of 2**times ones on the stack, which is hashed as a key."""
    return b"K\x01q\x64" + b"".join(b"h%c\x86q%c" % (100 + k, 101 + k) for k in range(times))


BOMBS = {
    "a key that takes all time to hash": lambda sound: sound[:-2] + b"s" + pairs_of_pairs(26) + b"K\x01s.",
    "millions of lists": lambda sound: b"\x80\x02" + b"]" * 3_000_000 + b".",
    "one text again and again": lambda sound: (
        b"\x80\x02]q\x64X\x40\x42\x0f\x00" + b"a" * 1_000_000 + b"q\x65X\x06\x00\x00\x00latin1q\x66"
        b"c_codecs\nencode\nq\x67" + b"h\x64h\x67h\x65h\x66\x86Ra" * 10 + b"."
    ),
}


@pytest.mark.parametrize("which", BOMBS)
def test_a_bomb_is_not_given_to_torch(tmp_path, monkeypatch, which):
    path = with_pickle(tmp_path / "head.pth", BOMBS[which])
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("torch reads it"))
    with pytest.raises(UsageError, match=r"head\.pth") as error:
        read_weight(path)
    assert len(str(error.value)) < 1000


def test_storages_alone_that_are_compressed_are_not_unpacked(tmp_path):
    torch.save({"weight": torch.zeros(512, 512)}, tmp_path / "plain.pth")
    with zipfile.ZipFile(tmp_path / "plain.pth") as plain, zipfile.ZipFile(tmp_path / "a.pth", "w") as packed:
        for one in plain.namelist():
            packed.writestr(one, plain.read(one), zipfile.ZIP_DEFLATED if "/data/" in one else zipfile.ZIP_STORED)
    with pytest.raises(UsageError, match="compressed"):
        read_weight(tmp_path / "a.pth")


def test_indices_of_a_sparse_matrix_that_lead_out_of_it_are_refused(tmp_path):
    with torch.sparse.check_sparse_tensor_invariants(False):
        outside = torch.sparse_coo_tensor([[5 * 10**8], [7]], [1.0], (6, 8), check_invariants=False)
    torch.save({"weight": outside}, tmp_path / "a.pth")
    with pytest.raises(UsageError, match="this head cannot be read"):
        read_weight(tmp_path / "a.pth")


@pytest.mark.skipif(os.name == "nt", reason="needs a named pipe")
def test_a_pipe_is_not_waited_for(tmp_path):
    for name in ("a.pth", "a.safetensors"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(UsageError, match="not an ordinary file"):
            read_weight(tmp_path / name)
