"""Text files that others wrote: bounded, and wrong in one way."""

import os
import tracemalloc
from pathlib import Path

import pytest
from expclip.errors import UsageError, bounded, brief, shown
from expclip.settings import read_settings
from expclip.untrusted import parse_json, parse_toml, read_text


@pytest.mark.parametrize("text", ["[" * 10**5, '{"a":' * 10**5, "7" * 6000, "NaN", "[-Infinity]", "", "{", "\ufeff1"])
def test_json_that_is_deep_long_or_no_json_is_a_value_error(text):
    with pytest.raises(ValueError):
        parse_json(text)


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 5000, "a = " + "7" * 6000, "a" + ".a" * 50000 + " = 1", "[" + ".".join("a" * 9000) + "]"]
)
def test_toml_that_is_deep_or_long_is_one_line_of_the_settings(tmp_path, text):
    with pytest.raises(ValueError):
        parse_toml(text)
    (tmp_path / "expclip.toml").write_text(text)
    with pytest.raises(UsageError, match=r"expclip.toml: cannot be read"):
        read_settings(tmp_path)


def test_values_of_a_configuration_are_shown_briefly(tmp_path):
    (tmp_path / "expclip.toml").write_text("cache" + ".a" * 3000 + " = 1")
    with pytest.raises(UsageError, match=r"cache: give a folder in quotes, found \{'a': ") as error:
        read_settings(tmp_path)
    assert len(str(error.value)) < 300
    assert brief(10**6000) == "a number of thousands of digits"
    assert len(brief("x" * 10**6)) < 400


def test_a_file_beyond_its_bound_is_not_read(tmp_path):
    (tmp_path / "a.txt").write_text("x" * 101)
    assert len(read_text(tmp_path / "a.txt", 101)) == 101
    with pytest.raises(ValueError, match="longer than 100 bytes"):
        read_text(tmp_path / "a.txt", 100)


@pytest.mark.skipif(os.name == "nt", reason="needs a named pipe")
def test_a_pipe_or_a_device_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path.__class__("/dev/zero")):
        with pytest.raises(ValueError, match="not an ordinary file"):
            read_text(path)
    with pytest.raises(IsADirectoryError):
        read_text(tmp_path)


def test_what_is_bounded_stays_as_it_is():
    once = bounded("x" * 10**6 + "end")
    assert bounded(once) == once == shown(once)
    assert once.endswith("end")


def test_a_small_file_is_read_without_room_for_a_large_one(tmp_path):
    """Every receipt, header and list is read so: room for 64 MiB each took longer than reading them."""
    (tmp_path / "a.txt").write_text("x" * 100)
    tracemalloc.start()
    try:
        assert read_text(tmp_path / "a.txt") == "x" * 100
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs files that do not say their size")
def test_a_file_whose_size_is_not_known_is_read_whole(tmp_path):
    assert read_text(Path("/proc/self/status")).splitlines()[-1].startswith("nonvoluntary")
    with pytest.raises(ValueError, match="longer than 100 bytes"):
        read_text(Path("/proc/self/status"), 100)
