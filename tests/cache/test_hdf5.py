"""A store goes to another cache as one file and arrives as it was; a file that lies changes nothing."""

import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from expclip.cache.cache import Cache
from expclip.cache.hdf5 import export_store, import_store
from expclip.cache.keys import digest, store_key
from expclip.errors import ExpclipError, UsageError


@pytest.fixture
def cache(tmp_path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def other(tmp_path) -> Cache:
    return Cache(tmp_path / "other machine" / "cache")


@pytest.fixture
def exported(tmp_path, cache, header, fill) -> Path:
    """The export of a complete store in which one row failed."""
    path = tmp_path / "faces.h5"
    export_store(fill(cache.create_store(header()), failed=[9]), None, path)
    return path


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_store_arrives_as_it_was(cache, other, exported, header):
    arrived = import_store(other, exported)
    sent = cache.open_store(header())
    assert sent is not None
    assert arrived.header == sent.header
    assert arrived.receipts.read() == sent.receipts.read()
    np.testing.assert_array_equal(arrived.read(), sent.read())
    assert everything(arrived.path) == everything(sent.path)
    assert arrived.path.is_relative_to(other.root)


def test_its_manifest_comes_along(tmp_path, cache, other, header, manifest):
    known = header(dataset=manifest.name, rows=len(manifest.rows), rows_digest=manifest.rows.digest)
    store = cache.create_store(known)
    store.write_shard(0, np.ones((3, 3)))
    export_store(store, manifest, tmp_path / "a.h5")
    import_store(other, tmp_path / "a.h5")
    found = other.current_manifest(manifest.name)
    assert found is not None
    assert found.digest == manifest.digest
    assert found.rows.sources == manifest.rows.sources
    assert found.root == manifest.root


def test_the_manifest_of_the_same_rows_that_is_there_is_kept(tmp_path, cache, other, header, manifest):
    known = header(dataset=manifest.name, rows=len(manifest.rows), rows_digest=manifest.rows.digest)
    export_store(cache.create_store(known), manifest, tmp_path / "a.h5")
    other.save_manifest(replace(manifest, root="/where/it/is/here"))
    import_store(other, tmp_path / "a.h5")
    found = other.current_manifest(manifest.name)
    assert found is not None
    assert found.root == "/where/it/is/here"


def test_an_unfinished_store_arrives_unfinished(tmp_path, cache, other, header, fill, features):
    store = fill(cache.create_store(header()), [1])
    store.write_shard(2, features[16:18])
    export_store(store, None, tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        assert np.isnan(file["features"][:8]).all()
    arrived = import_store(other, tmp_path / "a.h5")
    assert arrived.receipts.read() == store.receipts.read()
    np.testing.assert_array_equal(arrived.read(), store.read())
    assert not (arrived.path / "features" / "c" / "0").exists()


def test_what_is_there_is_kept_and_what_has_more_rows_is_taken(other, exported, header, features):
    here = other.create_store(header())
    kept = here.write_shard(0, features[:8] + 1)
    here.write_shard(1, features[8:10] + 1)
    arrived = import_store(other, exported)
    assert arrived.receipts.get(0) == kept
    np.testing.assert_array_equal(arrived.read(range(8)), features[:8] + 1)
    np.testing.assert_array_equal(arrived.read(range(10, 20)), features[10:])
    assert np.isnan(arrived.read(range(9, 10))).all()


def test_a_second_import_writes_nothing(other, exported):
    arrived = import_store(other, exported)
    before = {path: path.stat().st_mtime_ns for path in other.root.rglob("*")}
    import_store(other, exported)
    assert {path: path.stat().st_mtime_ns for path in other.root.rglob("*")} == before
    assert arrived.is_complete()


def test_nothing_is_exported_over_an_existing_file(cache, header, exported):
    before = exported.read_bytes()
    store = cache.open_store(header())
    with pytest.raises(UsageError, match="exists: choose another name"):
        export_store(store, None, exported)
    assert exported.read_bytes() == before


def test_an_export_into_no_folder_is_one_line(tmp_path, cache, header, exported):
    store = cache.open_store(header())
    with pytest.raises(ExpclipError, match="cannot write"):
        export_store(store, None, tmp_path / "nowhere" / "a.h5")


def test_a_damaged_store_is_not_exported(tmp_path, cache, header, exported):
    store = cache.open_store(header())
    (store.path / "features" / "c" / "1" / "0").unlink()
    with pytest.raises(ExpclipError, match="shard 1 is damaged"):
        export_store(store, None, tmp_path / "b.h5")
    assert not list(tmp_path.glob("*b.h5*"))


def _header(**fields):
    def change(file: h5py.File) -> None:
        known = json.loads(str(file.attrs["header"])) | fields
        known["encoder_digest"] = digest(known["spec"])
        known["key"] = store_key(known["spec"], known["rows_digest"]) if "key" not in fields else fields["key"]
        file.attrs["header"] = json.dumps(known)

    return change


def _receipt(**fields):
    def change(file: h5py.File) -> None:
        receipts = json.loads(str(file.attrs["receipts"]))
        receipts[1] |= fields
        file.attrs["receipts"] = json.dumps(receipts)

    return change


def _features(**fields):
    def change(file: h5py.File) -> None:
        values = file["features"][:]
        del file["features"]
        known = {"shape": values.shape, "dtype": values.dtype, "chunks": (8, 3)} | fields
        if known["shape"] == values.shape:
            known["data"] = values.astype(known["dtype"])
        file.create_dataset("features", **known)

    return change


def _other_bytes(file: h5py.File) -> None:
    file["features"][10] = 7


def _nan(file: h5py.File) -> None:
    file["features"][10] = np.nan


def _linked(link):
    def change(file: h5py.File) -> None:
        del file["features"]
        file["features"] = link

    return change


def _pickled(file: h5py.File) -> None:
    del file["features"]
    file.create_dataset("features", data=np.void(pickle.dumps(_header)))


def _attribute(name, value):
    def change(file: h5py.File) -> None:
        file.attrs[name] = value

    return change


def _virtual(file: h5py.File) -> None:
    del file["features"]
    layout = h5py.VirtualLayout((20, 3), "float16")
    layout[:] = h5py.VirtualSource("/etc/passwd", "features", (20, 3))
    file.create_virtual_dataset("features", layout)


def _referring(file: h5py.File) -> None:
    del file["features"]
    file.create_dataset("features", (20, 3), h5py.ref_dtype, chunks=(8, 3))


def _deep(depth: int):
    def change(file: h5py.File) -> None:
        text = str(file.attrs["header"])
        file.attrs["header"] = text.replace('"node": "clip_image"', '"node": ' + "[" * depth + "]" * depth)

    return change


LIES = {
    **{f"a data set called {name}": _header(dataset=name) for name in ("heads", "builtin", "Weights.json", "text")},
    "a data set that a terminal obeys": _header(dataset="a\x1b[31m"),
    "another node than its encoder's": _header(spec={"node": "llm", "weights": "00ff"}),
    "another protocol than its encoder's": _header(
        spec={"node": "clip_image", "weights": "00ff", "protocol": "paper"}
    ),
    "an instruction without a text": _header(instruction="related-1"),
    "another text than its instruction's": _header(
        instruction="related-1", spec={"node": "clip_image", "instruction": "something else"}
    ),
    "a text of the user's under another's name": _header(
        instruction="mine~00000000", spec={"node": "clip_image", "instruction": "something else"}
    ),
    "random weights that are not said": _header(spec={"node": "clip_image", "weights": {"random_seed": 0}}),
    "virtual features": _virtual,
    "features that are references": _referring,
    "features behind another filter": _features(scaleoffset=0, dtype="int32"),
    "shuffled features": _features(shuffle=True),
    "rows that no disk holds": _header(rows=10**30),
    "a header that is deep": _deep(5000),
    "a receipt of a shard of thousands of digits": _attribute("receipts", "[" + "7" * 6000 + "]"),
    "a receipt with what is no number": _attribute("receipts", '[{"shard": NaN}]'),
    "a data set above the cache": _header(dataset="../../outside"),
    "a data set at the root": _header(dataset="/outside"),
    "a hidden data set": _header(dataset=".outside"),
    "no data set": _header(dataset=""),
    "a data set with a zero byte": _header(dataset="a\0b"),
    "a data set of a long name": _header(dataset="a" * 5000),
    "a node above the cache": _header(node="../outside"),
    "a node that is a pattern": _header(node="*"),
    "a wrong key": _header(key="0" * 64),
    "another schema": _header(schema=2),
    "a number as text": _header(rows="20"),
    "no rows": _header(rows=0),
    "rows beyond the features": _header(rows=10**15),
    "features of another shape": _header(row_shape=[4]),
    "an unknown dtype": _header(dtype="object"),
    "huge features": lambda file: (
        _header(rows=10**12, row_shape=[10**6])(file),
        _features(shape=(10**12, 10**6), chunks=(8, 10**6))(file),
    ),
    "huge rows": lambda file: (
        _header(row_shape=[10**7])(file),
        _features(shape=(20, 10**7), chunks=(8, 10**7))(file),
    ),
    "features of another format": _features(dtype="float64"),
    "other chunks": _features(chunks=(4, 3)),
    "compressed features": _features(compression="gzip"),
    "changed features": _other_bytes,
    "NaN": _nan,
    "pickled features": _pickled,
    "a soft link": _linked(h5py.SoftLink("/other")),
    "a link to another file": _linked(h5py.ExternalLink("/etc/passwd", "/x")),
    "no features": lambda file: file.__delitem__("features"),
    "features that are a group": lambda file: (file.__delitem__("features"), file.create_group("features")),
    "a receipt of another key": _receipt(key="0"),
    "a receipt of no shard": _receipt(shard=3),
    "a receipt of a negative shard": _receipt(shard=-1),
    "a receipt of too many rows": _receipt(rows=9),
    "a receipt of failed rows elsewhere": _receipt(failed=[{"row": 1, "source": "", "error": ""}]),
    "a receipt without checksum": _receipt(sha256=""),
    "receipts that are none": _attribute("receipts", "[[]]"),
    "receipts that are no list": _attribute("receipts", "7"),
    "another format": _attribute("format", "other"),
    "a header that is no JSON": _attribute("header", "{" * 10**5),
    "a header that is a number": _attribute("header", "7"),
    "a header of another type": _attribute("header", h5py.Empty("f")),
    "a manifest that is none": lambda file: file.create_group("manifest").attrs.create("known", "{}"),
    "a manifest that is no group": lambda file: file.create_dataset("manifest", data=1),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_file_that_lies_changes_nothing(tmp_path, other, exported, lie):
    with h5py.File(exported, "r+") as file:
        LIES[lie](file)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(ExpclipError, match="this exported store cannot be read") as error:
        import_store(other, exported)
    assert str(error.value).startswith(f"{exported}: ")
    assert "\n" not in str(error.value)
    new = set(tmp_path.rglob("*")) - before
    assert all(path.is_relative_to(other.root) or path in other.root.parents for path in new)
    finished = {shard for store in other.stores() for shard in store.receipts.read()}
    assert finished <= {0}, "only what was verified before the lie was found"


def test_a_manifest_that_lies_is_not_kept(tmp_path, cache, other, header, manifest):
    known = header(dataset=manifest.name, rows=len(manifest.rows), rows_digest=manifest.rows.digest)
    export_store(cache.create_store(known), manifest, tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file["manifest/clips/image/indices"][1] = 99
    with pytest.raises(UsageError, match="the manifest changed"):
        import_store(other, tmp_path / "a.h5")
    assert other.current_manifest(manifest.name) is None


@pytest.mark.skipif(os.name == "nt", reason="POSIX locks")
def test_a_file_that_another_program_is_writing_is_said_to_be(exported, other):
    hold = "import h5py, sys; f = h5py.File(sys.argv[1], 'r+'); print('held', flush=True); input()"
    command = [sys.executable, "-c", hold, str(exported)]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | _LOCKING)
    assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
    try:
        with pytest.raises(ExpclipError, match="another program has this file open for writing") as error:
            import_store(other, exported)
    finally:
        holder.communicate(b"\n")
    assert "\n" not in str(error.value)
    assert import_store(other, exported).is_complete()


_LOCKING = {"HDF5_USE_FILE_LOCKING": "TRUE"}


@pytest.mark.skipif(os.name == "nt", reason="needs a named pipe")
def test_a_pipe_is_not_waited_for(tmp_path, other):
    os.mkfifo(tmp_path / "a.h5")
    with pytest.raises(UsageError, match="not an ordinary file"):
        import_store(other, tmp_path / "a.h5")


def test_a_long_name_of_a_data_set_travels(tmp_path, cache, other, header, features, fill):
    store = fill(cache.create_store(header(dataset="é" * 120)))
    export_store(store, None, tmp_path / "a.h5")
    np.testing.assert_array_equal(import_store(other, tmp_path / "a.h5").read(), features)


@pytest.mark.parametrize("content", [b"", b"no HDF5", b"\x89HDF\r\n\x1a\n" + bytes(100)])
def test_a_file_that_is_no_hdf5_is_one_line(tmp_path, other, content):
    path = tmp_path / "a.h5"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="this exported store cannot be read"):
        import_store(other, path)
    with pytest.raises(UsageError, match="No such file"):
        import_store(other, tmp_path / "missing.h5")
    assert not other.root.exists()


def test_no_damage_of_the_file_gives_other_features(tmp_path, cache, exported, header):
    sent = cache.open_store(header())
    assert sent is not None
    whole = exported.read_bytes()
    for position in range(0, len(whole), 97):
        for damaged in (whole[:position], whole[:position] + bytes([whole[position] ^ 0x10]) + whole[position + 1 :]):
            path = tmp_path / "damaged.h5"
            path.write_bytes(damaged)
            target = Cache(tmp_path / "targets" / f"{position}-{len(damaged)}")
            try:
                arrived = import_store(target, path)
            except ExpclipError:
                continue
            assert arrived.header.spec == sent.header.spec
            for shard, receipt in arrived.receipts.read().items():
                rows = range(shard * 8, shard * 8 + receipt.rows)
                np.testing.assert_array_equal(arrived.read(rows), sent.read(rows))
