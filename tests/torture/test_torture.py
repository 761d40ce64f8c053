"""Every command that writes is stopped at some of its changes to the disk; `make torture` stops it at all of them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs fork")
WAYS = ("kill=4", "EDQUOT=1", "EIO=1", "EROFS=1", "bytes=2")
IN_A_SMALL_DISK = ("space=2", "files=1")
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def can_mount(tmp_path_factory) -> bool:
    """Whether a disk of one's own can be made."""
    made = "import sys, small_disk; small_disk.SmallDisk(small_disk.Path(sys.argv[1])).unmount()"
    folder = tmp_path_factory.mktemp("disk")
    return subprocess.run([sys.executable, "-c", made, folder], cwd=HERE, capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def scenes(tmp_path_factory, can_mount) -> list[dict]:
    ways = [*WAYS, *(IN_A_SMALL_DISK if can_mount else ())]
    command = [sys.executable, HERE / "torture.py", tmp_path_factory.mktemp("torture"), "--stops", *ways]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def faults(scenes: list[dict], *ways: str) -> list[str]:
    """What was wrong where a command was stopped in some ways."""
    return [f"{one['scene']}: {fault}" for one in scenes for fault in one["faults"] if fault.startswith(ways)]


def test_what_is_killed_is_whole_and_its_next_run_ends_as_if_it_never_was(scenes):
    assert faults(scenes, "kill") == []


def test_what_the_disk_refuses_is_one_line_and_the_next_run_ends_as_if_it_never_was(scenes):
    assert faults(scenes, "E", "bytes") == []


def test_a_disk_that_is_full(scenes, can_mount):
    if not can_mount:
        pytest.skip("no disk can be mounted here, so none is filled")
    assert faults(scenes, "space", "files") == []


def test_every_command_that_writes_is_stopped_often(scenes):
    assert sum(one["stopped"] for one in scenes) >= 8 * len(scenes)
    assert len(scenes) >= 22
