"""Manifests are read without zarr where this version wrote them, and are ordinary zarr groups all the same."""

import shutil
import sys

import numpy as np
import pytest
import zarr
from expclip.cache.files import unseal
from expclip.cache.manifest_store import read_manifest, to_arrays, write_manifest
from expclip.cache.plain_group import PlainGroup, layout
from expclip.manifests.manifest import text_manifest


@pytest.fixture
def manifest():
    return text_manifest("text", ("text",), [(f"a face, {number} é", 0) for number in range(3)])


@pytest.fixture
def written(tmp_path, manifest):
    write_manifest(tmp_path / "manifest.zarr", manifest)
    return tmp_path / "manifest.zarr"


def test_it_is_read_without_zarr(written, manifest, monkeypatch):
    monkeypatch.setitem(sys.modules, "zarr", None)  # importing it fails
    assert read_manifest(written, "").digest == manifest.digest


def test_zarr_reads_the_same_arrays(written, manifest):
    known, arrays = to_arrays(manifest)
    group = zarr.open_group(written, mode="r")
    assert dict(group.attrs) == PlainGroup(written).attributes
    assert unseal(dict(group.attrs)) == known
    for name, expected in arrays.items():
        for found in (np.asarray(group[name][:]), PlainGroup(written).array(name)):
            np.testing.assert_array_equal(found, expected, strict=True)


def test_arrays_without_rows_are_read(tmp_path):
    empty = np.empty(0, dtype=np.int16)
    zarr.create_group(tmp_path / "a.zarr").create_array("labels", data=empty, **layout(empty))
    np.testing.assert_array_equal(PlainGroup(tmp_path / "a.zarr").array("labels"), empty, strict=True)


def test_what_an_older_version_compressed_is_read_by_zarr(tmp_path, manifest):
    known, arrays = to_arrays(manifest)
    group = zarr.create_group(tmp_path / "old.zarr", attributes=known)
    for name, array in arrays.items():
        group.create_array(name, data=array)
    assert read_manifest(tmp_path / "old.zarr", "").digest == manifest.digest


@pytest.mark.parametrize("damage", ["shorter", "longer", "changed", "gone"])
def test_what_was_damaged_is_refused(written, damage):
    file = written / "sources" / "c" / "0"
    content = file.read_bytes()
    changed = {"shorter": content[:-1], "longer": content + b"x", "changed": b"b" + content[1:], "gone": b""}[damage]
    file.write_bytes(changed)
    if damage == "gone":
        shutil.rmtree(file.parent)
    with pytest.raises(Exception, match=r".+"):
        read_manifest(written, "")


def test_no_name_leads_out_of_the_group(written):
    shutil.copytree(written, written.parent / "other.zarr")
    with pytest.raises(ValueError, match=r"is no name of an array"):
        PlainGroup(written).array("../other.zarr/labels")
