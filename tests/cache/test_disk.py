"""What the disk refuses becomes one line, and what was finished stays."""

import json
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest
from expclip.cache.cache import Cache
from expclip.cache.files import new_folder, read_json, write_json
from expclip.errors import ExpclipError

# The limit makes the kernel refuse every byte beyond it, as a full disk does, wherever the library writes it.
SCRIPT = """
import resource, sys
from pathlib import Path
import numpy as np
import expclip.cache.header
from expclip.cache.cache import Cache
from expclip.cache.files import new_folder
from expclip.cache.hdf5 import export_store
from expclip.cache.header import parse_header
from expclip.errors import ExpclipError

expclip.cache.header.SHARD_ROWS = 8
folder, header = Path(sys.argv[1]), parse_header(sys.argv[2])
cache = Cache(folder / "cache")
features = np.load(folder / "features.npy")

def attempt(limit, action):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        action()
        line = "done"
    except ExpclipError as error:
        line = f"{error.exit_code} {error}"
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(line)

def refused_folder():
    with new_folder(folder / "models") as temporary:
        (temporary / "small").write_bytes(b"1" * 10)
        (temporary / "weights").write_bytes(b"1" * 1000)

attempt(200, lambda: cache.create_store(header))
attempt(200, refused_folder)
store = cache.create_store(header)
store.write_shard(0, features[:8])
attempt(1000, lambda: store.write_shard(1, features[8:16]))
attempt(200, lambda: export_store(store, None, folder / "a.h5"))
attempt(5000, lambda: export_store(store, None, folder / "a.h5"))
"""


@pytest.fixture
def header_of_kilobytes(header):
    """A shard of it has 1,600 bytes, its JSON files less than 1,000."""
    return header(row_shape=(100,))


def test_a_full_disk(tmp_path, header_of_kilobytes):
    features = np.random.default_rng(0).standard_normal((20, 100)).astype(np.float16)
    np.save(tmp_path / "features.npy", features)
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), json.dumps(asdict(header_of_kilobytes))]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    lines = ran.stdout.splitlines()
    assert len(lines) == 5
    for line, place in zip(lines, ("cache/faces/", "models", "cache/faces/", "a.h5", "a.h5"), strict=True):
        assert line.startswith("1 cannot write ")
        assert place in line
        assert "the file would be larger than allowed" in line
        assert "What is finished stays" in line
    assert ran.stderr == ""
    store = Cache(tmp_path / "cache").open_store(header_of_kilobytes)
    assert store is not None
    assert {path.name for path in tmp_path.iterdir()} == {"cache", "features.npy"}
    assert {path.name for path in store.path.parent.iterdir()} == {store.path.name, f"{store.path.stem}.receipts"}
    assert sorted(store.receipts.read()) == [0]
    np.testing.assert_array_equal(store.read()[:8], features[:8])
    assert np.isnan(store.read()[8:]).all()
    for shard in (1, 2):
        store.write_shard(shard, features[shard * 8 : (shard + 1) * 8])
    np.testing.assert_array_equal(store.read(), features)


def test_a_read_only_cache_can_be_read_and_says_that_it_cannot_be_written(
    open_folder, read_only, header, fill, features, manifest
):
    cache = Cache(open_folder / "cache")
    fill(cache.create_store(header()), [0, 1])
    cache.save_manifest(manifest)
    with read_only(open_folder / "cache"):
        store = Cache(cache.root).open_store(header())
        assert store is not None
        np.testing.assert_array_equal(store.read(range(16)), features[:16])
        assert np.isnan(store.read(range(16, 20))).all()
        found = cache.current_manifest("three")
        assert found is not None
        assert found.digest == manifest.digest
        cache.save_manifest(manifest)  # it is there already: nothing to write
        for attempt in (
            lambda: store.write_shard(2, features[16:]),
            lambda: store.write_shard(0, features[:8]) and cache.create_store(header(rows_digest="others")),
            lambda: write_json(cache.root / "weights.json", {}),
        ):
            with pytest.raises(ExpclipError, match="writing is not permitted: change the permissions") as error:
                attempt()
            assert error.value.exit_code == 1
    assert store.rows_done() == 16


def test_a_cache_that_is_a_file_is_one_line(tmp_path, header):
    (tmp_path / "cache").write_text("")
    with pytest.raises(ExpclipError, match=r"cache .*cache: this is a file; a folder is needed"):
        Cache(tmp_path / "cache").create_store(header())


def test_a_json_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"n": 1})
    with pytest.raises(TypeError):
        write_json(path, {"n": [1, 2, object()]})
    assert read_json(path) == {"n": 1}
    assert [one.name for one in tmp_path.iterdir()] == ["a.json"]


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    def fail(error: BaseException):
        with new_folder(tmp_path / "models") as temporary:
            (temporary / "a").write_text("half")
            assert not (tmp_path / "models").exists()
            raise error

    for error in (ValueError("broken"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            fail(error)
        assert list(tmp_path.iterdir()) == []
    with new_folder(tmp_path / "models") as temporary:
        (temporary / "a").write_text("whole")
    assert [path.name for path in tmp_path.rglob("*")] == ["models", "a"]


def test_who_makes_a_folder_second_takes_the_first_ones(tmp_path):
    with new_folder(tmp_path / "models") as mine:
        with new_folder(tmp_path / "models") as theirs:
            (theirs / "a").write_text("theirs")
        (mine / "a").write_text("mine")
    assert (tmp_path / "models" / "a").read_text() == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["models"]


def test_what_a_killed_process_leaves_is_in_nobodys_way(tmp_path, header, fill, features):
    cache = Cache(tmp_path)
    store = fill(cache.create_store(header()))
    (tmp_path / "faces" / f".{store.path.name}.0a1b2c3d").mkdir()
    (tmp_path / "faces" / ".current.json.0a1b2c3d").write_text('{"manif')
    store.receipts.path(0).with_name(".00000.json.0a1b2c3d").write_text("{")
    (store.path / "features" / "c" / "0" / ".0a1b2c3d.partial").write_text("half")
    assert [one.path for one in cache.stores()] == [store.path]
    assert cache.current_manifest("faces") is None
    np.testing.assert_array_equal(next(cache.stores()).read(), features)
