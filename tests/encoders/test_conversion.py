"""Weights are taken out of pickles and TorchScript as torch itself would read them, and nothing of a file is run."""

import argparse
import hashlib
import io
import json
import os
import pickle
import resource
import struct
import tracemalloc
import zipfile
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from expclip.cli import app
from expclip.encoders.conversion import convert
from expclip.encoders.pickled import Machine, Made, Name
from expclip.encoders.state_dict import read_tensors
from expclip.encoders.systems import SYSTEMS
from expclip.encoders.weights_card import card_of
from expclip.errors import ExpclipError, UsageError
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from typer.testing import CliRunner

OPENAIS = {
    "embed_dim": 16,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 64, "patch_size": 32, "width": 64, "head_width": 64, "layers": 1},
    "text_cfg": {"context_length": 7, "vocab_size": 49, "width": 64, "heads": 1, "layers": 1},
}


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    return open_clip.CLIP(**OPENAIS).half().state_dict()


@pytest.fixture
def canary(tmp_path):
    """A file that code of the source would leave behind; there is none at the end."""
    yield tmp_path / "canary"
    assert not (tmp_path / "canary").exists()


def same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> bool:
    return found.keys() == expected.keys() and all(
        found[name].dtype == expected[name].dtype and torch.equal(found[name], expected[name]) for name in expected
    )


def refused(system: str, path: Path, message: str, kind: type[ExpclipError] = ExpclipError) -> None:
    before = {one.name for one in path.parent.iterdir()}
    with pytest.raises(kind, match=message) as caught:
        convert(system, path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000
    assert {one.name for one in path.parent.iterdir()} == before


class Mine:
    """A class that is there when a checkpoint is written, and need not be when it is read."""

    def __init__(self) -> None:
        self.anything = [self]


FORMS: dict[str, Callable[[dict[str, torch.Tensor]], Any]] = {
    "plain": lambda w: w,
    "ordered": OrderedDict,
    "state_dict": lambda w: {"epoch": 3, "state_dict": w},
    "model": lambda w: {"model": w, "args": argparse.Namespace(lr=0.1, path=Path("x")), "mine": Mine()},
    "DataParallel": lambda w: {"state_dict": {f"module.{name}": value for name, value in w.items()}},
    "compiled": lambda w: {f"_orig_mod.module.{name}": value for name, value in w.items()},
    "two wrappers": lambda w: {"model": {"state_dict": w}, "scaler": None},
    "parameters": lambda w: {name: torch.nn.Parameter(value) for name, value in w.items()},
    "training": lambda w: {
        "model_state_dict": w,
        "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"params": [0]}]},
        "rng": torch.get_rng_state(),
        "counts": defaultdict(int, a=1),
        ("a", ("tuple",)): {"as": {1, 2}, "key": frozenset({3})},
    },
}


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("form", FORMS)
def test_a_state_dict_is_found_in_whatever_was_saved_with_it(tmp_path, weights, form, legacy):
    torch.save(FORMS[form](weights), tmp_path / "w.pt", _use_new_zipfile_serialization=not legacy)
    made = convert("clip", tmp_path / "w.pt")
    assert same(load_file(made.path), weights)
    assert made.shapes == {name: tuple(value.shape) for name, value in weights.items()}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_of_pickles_is_read(tmp_path, weights, protocol):
    torch.save({"model": weights, "mine": Mine()}, tmp_path / "w.pt", pickle_protocol=protocol)
    assert same(load_file(convert("clip", tmp_path / "w.pt").path), weights)


def test_views_and_shared_storages_are_as_torch_reads_them(tmp_path):
    base = torch.arange(24.0).reshape(4, 6)
    views = {"whole": base, "turned": base.T, "part": base[1:3, 2:4], "row": base[2], "wide": base[:1].expand(3, 6)}
    views |= {
        "none": torch.empty(0, 3),
        "one": torch.tensor(2.5),
        "long": torch.arange(5),
        "half": torch.ones(3).bfloat16(),
    }
    torch.save(views, tmp_path / "w.pt")
    expected = torch.load(tmp_path / "w.pt", weights_only=True)
    assert same(load_file(convert("clip", tmp_path / "w.pt").path), expected)


class OpenAIs(torch.nn.Module):
    """A CLIP as OpenAI publishes it: TorchScript with attributes that say what it is."""

    def __init__(self) -> None:
        super().__init__()
        model = open_clip.CLIP(**OPENAIS).half()
        self.visual, self.transformer, self.ln_final = model.visual, model.transformer, model.ln_final
        self.token_embedding = model.token_embedding
        for name in ("positional_embedding", "text_projection", "logit_scale"):
            self.register_parameter(name, getattr(model, name))
        self.register_buffer("attn_mask", model.attn_mask)
        for name, value in {"input_resolution": 64, "context_length": 7, "vocab_size": 49}.items():
            self.register_buffer(name, torch.tensor(value))
        self.words = {"a": 1}

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.visual(image)


@pytest.fixture
def openais(tmp_path) -> Path:
    torch.manual_seed(4)
    torch.jit.script(OpenAIs().eval()).save(str(tmp_path / "ViT-B-32.pt"))
    return tmp_path / "ViT-B-32.pt"


jit = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@jit
def test_torchscript_gives_the_tensors_that_running_it_gives(openais, monkeypatch):
    expected = {
        name: value
        for name, value in torch.jit.load(str(openais)).state_dict().items()
        if name not in SYSTEMS["openai-jit"].not_weights
    }
    for module, name in ((torch.jit, "load"), (torch._C, "import_ir_module"), (torch, "load"), (pickle, "Unpickler")):
        monkeypatch.setattr(module, name, None)  # nothing of these is needed
    made = convert("openai-jit", openais)
    assert same(load_file(made.path), expected) and len(expected) > 20
    assert {value.dtype for value in load_file(made.path).values()} == {torch.float16}
    model = open_clip.CLIP(**OPENAIS)
    model.load_state_dict(load_file(made.path))


@jit
def test_the_card_says_where_weights_come_from(openais, tmp_path, weights):
    card = card_of(convert("openai-jit", openais).path)
    assert card and (card.source, card.system, card.quick_gelu) == ("ViT-B-32.pt", "openai-jit", "yes")
    assert card.source_sha256 == hashlib.sha256(openais.read_bytes()).hexdigest()
    torch.save(weights, tmp_path / "w.pth")
    card = card_of(convert("clip", tmp_path / "w.pth").path)
    assert card and (card.source, card.system, card.quick_gelu) == ("w.pth", "clip", "unknown")


@jit
def test_each_system_names_the_other(openais, tmp_path, weights):
    refused(
        "clip", openais, "is a TorchScript archive: `expclip weights convert openai-jit .*ViT-B-32.pt`", UsageError
    )
    torch.save(weights, tmp_path / "w.pt")
    refused("openai-jit", tmp_path / "w.pt", "is no TorchScript archive: `expclip weights convert clip", UsageError)


@jit
def test_code_of_an_archive_is_not_run(openais, tmp_path, canary):
    with zipfile.ZipFile(openais) as source, zipfile.ZipFile(tmp_path / "evil.pt", "w") as target:
        for one in source.infolist():
            content = source.read(one)
            target.writestr(one.filename, b"raise SystemExit(1)" if "/code/" in one.filename else content)
    assert same(
        load_file(convert("openai-jit", tmp_path / "evil.pt").path), load_file(convert("openai-jit", openais).path)
    )


class Runs:
    """Pickles as a call of any function."""

    def __init__(self, call: Callable[..., Any], *arguments: Any):
        self._how = call, arguments

    def __reduce__(self):
        return self._how


def test_nothing_that_a_pickle_would_call_is_called(tmp_path, weights, canary):
    touch = f"open({str(canary)!r}, 'w')"
    calls = [Runs(os.system, f"touch {canary}"), Runs(eval, touch), Runs(exec, touch), Runs(Path.touch, canary)]
    calls.append(Runs(getattr, Runs(__import__, "os"), "system"))
    torch.save({"model": weights, "evil": calls, **{f"n{k}": one for k, one in enumerate(calls)}}, tmp_path / "w.pt")
    assert same(load_file(convert("clip", tmp_path / "w.pt").path), weights)
    for k, one in enumerate(calls):
        torch.save(weights | {"evil": one}, tmp_path / f"in{k}.pt")
        made = convert("clip", tmp_path / f"in{k}.pt")
        assert same(load_file(made.path), weights) and made.left_out == ("'evil'",)
        torch.save(one, tmp_path / f"all{k}.pt")
        refused("clip", tmp_path / f"all{k}.pt", "whole object of Python")


def handmade(path: Path, program: bytes, storages: dict[str, bytes] | None = None, **how: Any) -> Path:
    """A file as torch.save would write it, with a pickle of one's own."""
    with zipfile.ZipFile(path, "w", **how) as archive:
        archive.writestr("archive/data.pkl", program)
        for key, content in (storages or {"0": bytes(64)}).items():
            archive.writestr(f"archive/data/{key}", content)
    return path


class Storage:
    """Stands for what a persistent id names."""

    def __init__(self, *known_as: Any):
        self.known_as = known_as


class Pickler(pickle.Pickler):
    def persistent_id(self, obj: Any) -> Any:
        return obj.known_as if isinstance(obj, Storage) else None


class Rebuilt:
    """A tensor as torch describes it, with anything in any place."""

    def __init__(self, storage: Any, offset: Any = 0, size: Any = (4,), stride: Any = (1,), *, by: Any = None):
        self._how = (by or torch._utils._rebuild_tensor_v2, (storage, offset, size, stride, False, OrderedDict()))

    def __reduce__(self):
        return self._how


def pickled(content: Any) -> bytes:
    file = io.BytesIO()
    Pickler(file, protocol=2).dump(content)
    return file.getvalue()


SOUND = ("storage", torch.FloatStorage, "0", "cpu", 16)
UNSOUND = {
    "an offset beyond": Rebuilt(Storage(*SOUND), 14),
    "a negative offset": Rebuilt(Storage(*SOUND), -1),
    "a size beyond": Rebuilt(Storage(*SOUND), 0, (17,)),
    "a negative size": Rebuilt(Storage(*SOUND), 0, (-4,)),
    "a stride beyond": Rebuilt(Storage(*SOUND), 0, (4,), (6,)),
    "a negative stride": Rebuilt(Storage(*SOUND), 8, (4,), (-1,)),
    "a huge size without stride": Rebuilt(Storage(*SOUND), 0, (10**9, 10**9), (0, 0)),
    "nothing of a size beyond 64 bits": Rebuilt(Storage(*SOUND), 0, (2**64, 0), (0, 0)),
    "nothing with a stride beyond 64 bits": Rebuilt(Storage(*SOUND), 0, (0,), (2**64,)),
    "nothing at an offset beyond 64 bits": Rebuilt(Storage(*SOUND), 2**64, (0,), (1,)),
    "a size of many digits": Rebuilt(Storage(*SOUND), 0, (10**4000,), (0,)),
    "strides for other sizes": Rebuilt(Storage(*SOUND), 0, (4,), (1, 1)),
    "a size that is no number": Rebuilt(Storage(*SOUND), 0, ("4",)),
    "a size of true": Rebuilt(Storage(*SOUND), 0, (True,)),
    "a fraction": Rebuilt(Storage(*SOUND), 0.5),
    "a list for a size": Rebuilt(Storage(*SOUND), 0, [4]),
    "a storage that is not there": Rebuilt(Storage("storage", torch.FloatStorage, "1", "cpu", 16)),
    "a storage elsewhere": Rebuilt(Storage("storage", torch.FloatStorage, "../../../etc/passwd", "cpu", 16)),
    "a larger storage": Rebuilt(Storage("storage", torch.FloatStorage, "0", "cpu", 10**12), 10**11),
    "a smaller storage": Rebuilt(Storage("storage", torch.FloatStorage, "0", "cpu", 8)),
    "a negative storage": Rebuilt(Storage("storage", torch.FloatStorage, "0", "cpu", -1)),
    "a storage of nothing": Rebuilt(Storage("storage", os.system, "0", "cpu", 16)),
    "a storage that is a number": Rebuilt(Storage(3)),
    "a name that is a number": Rebuilt(Storage("storage", torch.FloatStorage, 0, "cpu", 16)),
    "a storage with a view": Rebuilt(Storage(*SOUND, ("0", 0, 4))),
    "no storage": Rebuilt({}),
    "a storage of quantised values": Rebuilt(Storage("storage", torch.QInt8Storage, "0", "cpu", 64)),
    "a parameter of itself": Rebuilt(Storage(*SOUND), by=torch._utils._rebuild_parameter),
}


@pytest.mark.parametrize("which", UNSOUND)
def test_a_tensor_that_is_not_sound_is_one_line(tmp_path, which, canary):
    path = handmade(tmp_path / "w.pt", pickled({"a": UNSOUND[which]}))
    refused("clip", path, "cannot be read")


def test_a_sound_tensor_by_hand_is_read(tmp_path):
    path = handmade(tmp_path / "w.pt", pickled({"a": Rebuilt(Storage(*SOUND))}))
    assert torch.equal(load_file(convert("clip", path).path)["a"], torch.zeros(4))


SETS_STATE = b"\x80\x02}(X\x01\x00\x00\x00acbuiltins\nprint\n}X\x0c\x00\x00\x00__setstate__cos\nsystem\nsbu."
PROGRAMS = {
    "__setstate__ of a function": SETS_STATE,
    "an extension": b"\x80\x02\x82\x01.",
    "no end": b"\x80\x02}",
    "an empty stack": b"\x80\x02R.",
    "a mark that is missing": b"\x80\x02}u.",
    "a memory that is empty": b"\x80\x02h\x05.",
    "no pickle": b"cposix\nsystem\n(S'id'\ntR.",
    "a name of numbers": b"\x80\x04K\x01K\x02\x93.",
    "a number of many digits": b"\x80\x02L" + b"9" * 6000 + b"L\n.",
    "a text of a terabyte": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 40) + b"x.",
    "a list in itself": b"\x80\x02]q\x00h\x00a.",
    "a tuple of tuples, doubled": b"\x80\x02)" + b"2\x86" * 200 + b"}" + b"(" + b")" + b"2\x86" * 80 + b"K\x01u.",
    "a mapping in itself": b"\x80\x02}q\x00X\x05\x00\x00\x00modelh\x00s.",
    "nesting": b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".",
}


@pytest.mark.parametrize("which", PROGRAMS)
def test_a_pickle_that_is_not_sound_is_one_line(tmp_path, which, canary):
    for system in SYSTEMS:
        path = handmade(tmp_path / "w.pt", PROGRAMS[which])
        with zipfile.ZipFile(path, "a") as archive:
            if SYSTEMS[system].is_torchscript:
                archive.writestr("archive/constants.pkl", b"")
        refused(system, path, "cannot be read")
        path.unlink()


def test_a_pickle_of_millions_of_steps_is_given_up_early(tmp_path):
    """Each of them keeps an object: twenty million took two gigabytes."""
    content = b"\x80\x02" + b"]" * 3_000_000 + b"."
    tracemalloc.start()
    with pytest.raises(ExpclipError, match="too many steps"):
        read_tensors(handmade(tmp_path / "w.pt", content), SYSTEMS["clip"])
    assert tracemalloc.get_traced_memory()[1] < 400e6
    tracemalloc.stop()


def test_a_pickle_that_repeats_itself_without_end_is_given_up(tmp_path):
    """Two kilobytes make a tuple that takes all time to hash, which torch does where it is a key."""
    pairs = b"K\x01q\x00" + b"".join(b"h%c\x86q%c" % (k, k + 1) for k in range(60))
    texts = b"X\x40\x42\x0f\x00" + b"a" * 1_000_000 + b"q\x00" + b"h\x000" * 1000
    for content in (pairs, texts):
        refused("clip", handmade(tmp_path / "w.pt", b"\x80\x02}" + content + b"K\x01s."), "repeats itself")
        (tmp_path / "w.pt").unlink()


@pytest.mark.parametrize("key", [(1, 2), (10**5000, "a"), frozenset({1}), ((((),),),)])
def test_a_key_that_is_no_text_is_named_by_what_it_is(tmp_path, key):
    path = tmp_path / "w.pt"
    torch.save({key: torch.zeros(2), "b": torch.zeros(2)}, path)
    with pytest.raises(ExpclipError) as caught:
        read_tensors(path, SYSTEMS["clip"])
    assert " at 0x" not in str(caught.value)
    assert "a key that is a " in str(caught.value)


def test_a_name_is_never_looked_up():
    machine = Machine()
    found = machine.read(io.BytesIO(b"cno.such.module\nNothing\n(X\x01\x00\x00\x00atR}X\x01\x00\x00\x00bK\x01sb."))
    assert isinstance(found, Made) and found.by == Name("no.such.module.Nothing")
    assert (found.arguments, found.state, machine.names) == (("a",), {"b": 1}, {"no.such.module.Nothing"})


def zipped(path: Path, members: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


PROGRAM = pickled({"a": Rebuilt(Storage(*SOUND))})
BOMB = pickled({"a": Rebuilt(Storage("storage", torch.FloatStorage, "0", "cpu", 1 << 25))})
ARCHIVES = {
    "no pickle": ([("archive/data/0", bytes(64))], "without the one data.pkl"),
    "two pickles": ([("a/data.pkl", PROGRAM), ("b/data.pkl", PROGRAM)], "without the one data.pkl"),
    "a pickle elsewhere": ([("../data.pkl/x", PROGRAM)], "without the one data.pkl"),
    "other bytes": ([("a/data.pkl", PROGRAM), ("a/byteorder", b"big"), ("a/data/0", bytes(64))], "order of other"),
    "nothing": ([], "an empty zip"),
}


@pytest.mark.parametrize("which", ARCHIVES)
def test_a_zip_that_torch_did_not_write_is_one_line(tmp_path, which):
    members, message = ARCHIVES[which]
    refused("clip", zipped(tmp_path / "w.pt", members), message)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_stands_twice_is_refused(tmp_path):
    members = [("a/data.pkl", PROGRAM), ("a/data/0", bytes(64)), ("a/data/0", b"\1" * 64)]
    refused("clip", zipped(tmp_path / "w.pt", members), "it has 'a/data/0' twice")


def test_a_bomb_is_not_unpacked(tmp_path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    members = [("a/data.pkl", BOMB), ("a/data/0", bytes(1 << 27))]
    refused(
        "clip", zipped(tmp_path / "w.pt", members, zipfile.ZIP_DEFLATED), "is compressed, which torch does not do"
    )
    many = pickled({str(k): Rebuilt(Storage(*SOUND), 0, (4096,), (0,)) for k in range(30_000)})
    refused("clip", handmade(tmp_path / "many.pt", many, {"0": bytes(64)}, compression=zipfile.ZIP_DEFLATED), "few")
    pickles = [("a/data.pkl", b"\x80\x02" + b"N0" * (200 << 20) + b".")]
    refused("clip", zipped(tmp_path / "p.pt", pickles, zipfile.ZIP_DEFLATED), "would be 419,430,403 bytes")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_500_000  # kB, most of it this test's own


def test_compressed_storages_are_refused(tmp_path):
    path = handmade(tmp_path / "w.pt", PROGRAM, {"0": bytes(64)}, compression=zipfile.ZIP_DEFLATED)
    refused("clip", path, "'archive/data/0' is compressed, which torch does not do")


OTHERS = {
    "empty": (b"", "it is empty"),
    "a text": (b"hello, these are no weights" * 30, "a text or a web page"),
    "a web page": (b"<!DOCTYPE html><html>" * 30, "a text or a web page"),
    "a pointer of git-lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "pointer of git-lfs"),
    "a tar": (bytes(257) + b"ustar" + bytes(300), "a tar archive"),
    "safetensors": (struct.pack("<Q", 2) + b"{}", "safetensors already"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(600), "its beginning is none"),
    "a pickle": (pickle.dumps({"a": 1}), "none that torch.save writes"),
    "half a zip": (b"PK\x03\x04" + bytes(600), "not a zip"),
}


@pytest.mark.parametrize("which", OTHERS)
def test_what_is_no_weights_is_named(tmp_path, which):
    (tmp_path / "w.pt").write_bytes(OTHERS[which][0])
    refused("clip", tmp_path / "w.pt", OTHERS[which][1])


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_a_file_that_is_cut_short_or_damaged_is_one_line(tmp_path, weights, legacy):
    torch.save(weights, tmp_path / "whole.pt", _use_new_zipfile_serialization=not legacy)
    whole = (tmp_path / "whole.pt").read_bytes()
    for share in (0.01, 0.3, 0.5, 0.9, 0.999):
        (tmp_path / "w.pt").write_bytes(whole[: int(len(whole) * share)])
        refused("clip", tmp_path / "w.pt", "cannot be read")


@pytest.mark.parametrize("values", [-1, 17, 1 << 40, (1 << 63) - 1, -(1 << 63)])
def test_a_legacy_storage_that_is_longer_than_the_file_is_one_line(tmp_path, values):
    torch.save({"a": torch.arange(16.0)}, tmp_path / "w.pt", _use_new_zipfile_serialization=False)
    content = (tmp_path / "w.pt").read_bytes()
    (tmp_path / "w.pt").write_bytes(content[:-72] + struct.pack("<q", values) + content[-64:])
    refused("clip", tmp_path / "w.pt", "it is cut short")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_compression_is_one_line(tmp_path, method):
    content = bytearray(handmade(tmp_path / "w.pt", PROGRAM * 50, compression=method).read_bytes())
    content[60:75] = bytes(15)
    (tmp_path / "w.pt").write_bytes(content)
    refused("clip", tmp_path / "w.pt", "cannot be read")


def test_folders_pipes_and_missing_files_are_named(tmp_path):
    (tmp_path / "folder.pt").mkdir()
    os.mkfifo(tmp_path / "pipe.pt")
    refused("clip", tmp_path / "folder.pt", "is no file", UsageError)
    refused("clip", tmp_path / "pipe.pt", "is no file", UsageError)
    refused("clip", tmp_path / "gone.pt", "there is no file", UsageError)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 299))
def test_no_pickle_ends_but_in_something_inert_or_a_value_error(noise, at):
    program = bytearray(PROGRAM)
    program[at % len(program) : at % len(program)] = noise
    for content in (bytes(program), noise + b"."):
        with suppress(ValueError):
            Machine().read(io.BytesIO(content))


def test_what_is_there_already_is_not_overwritten(tmp_path, weights):
    torch.save(weights, tmp_path / "w.pt")
    first = convert("clip", tmp_path / "w.pt").path.read_bytes()
    assert convert("clip", tmp_path / "w.pt").path.read_bytes() == first
    (tmp_path / "w.safetensors").write_bytes(b"dear to me")
    refused("clip", tmp_path / "w.pt", "is there already: remove it, or write elsewhere with out", UsageError)
    made = convert("clip", tmp_path / "w.pt", tmp_path / "new" / "w.safetensors")
    assert made.path.read_bytes() == first
    with pytest.raises(UsageError, match=r"give a name that ends with \.safetensors"):
        convert("clip", tmp_path / "w.pt", tmp_path / "w.bin")


def test_the_command_says_what_it_wrote_and_what_to_type(tmp_path):
    torch.save(
        dict(open_clip.CLIP(**open_clip.get_model_config("RN50")).state_dict()) | {"epoch": 3}, tmp_path / "w.pt"
    )
    done = CliRunner().invoke(app, ["weights", "convert", "clip", str(tmp_path / "w.pt"), "--json"])
    document = json.loads(done.stdout)
    new = tmp_path / "w.safetensors"
    assert document["names"] == [f"RN50@{new}", f"RN50-quickgelu@{new}"]
    assert (document["path"], document["left_out"], document["quick_gelu"]) == (str(new), ["'epoch'"], "unknown")
    assert "left out, since they are no tensors: 'epoch'" in done.stderr and "QuickGELU" in done.stderr
    done = CliRunner().invoke(app, ["weights", "convert", "clip", str(tmp_path / "w.pt")])
    assert (
        f"--clip RN50@{new} or --clip RN50-quickgelu@{new}" in done.stdout
        and f"{document['tensors']} tensors" in done.stdout
    )
    wrong = CliRunner().invoke(app, ["weights", "convert", "clip", str(new)])
    assert (wrong.exit_code, "is safetensors already" in wrong.stderr) == (2, True)
