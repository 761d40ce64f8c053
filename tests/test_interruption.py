"""Signals end a command as Ctrl-C does: finished work stays, no process is left, the exit code names the signal."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from expclip.commands import command
from expclip.commands.doctor import Doctor
from expclip.commands.running import run
from expclip.interruption import Interruption

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
MINI = ("--clip", "miniature", "--device", "cpu")
SIGNALS = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}


@pytest.fixture
def many(tmp_path, save_face) -> Path:
    """A folder of 2,500 faces that are one file: three shards."""
    folder = tmp_path / "many"
    save_face(folder / "0000.png", 1, 1, size=16)
    for k in range(1, 2500):
        os.link(folder / "0000.png", folder / f"{k:04d}.png")
    return folder


def start(*words, before=None, **how) -> subprocess.Popen:
    command = [sys.executable, "-m", "expclip", *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, preexec_fn=before, **pipes, **how)


def wait_for(process: subprocess.Popen, place: Path, pattern: str) -> None:
    while process.poll() is None and not next(place.glob(pattern), None):
        time.sleep(0.005)
    assert process.poll() is None, process.communicate()


def shared_memory() -> set[Path]:
    place = Path("/dev/shm")
    return set(place.iterdir()) if place.is_dir() else set()


def ended(process: subprocess.Popen, name: str) -> str:
    """Ends a process by a signal; returns what it said, after its children have ended too."""
    children = psutil.Process(process.pid).children(recursive=True)
    before = shared_memory()
    process.send_signal(getattr(signal, name))
    _, said = process.communicate(timeout=60)
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    assert shared_memory() <= before
    return said


@pytest.mark.parametrize("executor", ["local", "dask"])
@pytest.mark.parametrize("name", SIGNALS)
def test_extraction_is_ended(many, tmp_path, name, executor):
    cache = tmp_path / "cache"
    process = start("extract", many, *MINI, "--cache", cache, "--executor", executor, "--workers", 2)
    wait_for(process, cache, "many/*.receipts/*.claim")
    said = ended(process, name).strip().splitlines()
    by = "" if name == "SIGINT" else f" by {name}"
    assert said[-1] == f"interrupted{by}. Finished work is kept: run the same command to resume"
    assert process.returncode == SIGNALS[name]
    assert list(cache.glob("many/*.receipts/*.claim")) == []


def test_what_comes_after_the_first_signal_changes_nothing(many, tmp_path):
    """Whoever ends a job may say so twice: its code is that of the first, also while Python comes to an end."""
    cache = tmp_path / "cache"
    process = start("extract", many, *MINI, "--cache", cache, "--workers", 2)
    wait_for(process, cache, "many/*.receipts/*.claim")
    process.send_signal(signal.SIGHUP)
    while process.poll() is None:
        process.send_signal(signal.SIGTERM)
        time.sleep(0.001)
    assert process.returncode == SIGNALS["SIGHUP"]


def test_what_is_finished_stays(many, tmp_path):
    cache = tmp_path / "cache"
    words = ("extract", many, *MINI, "--cache", cache, "--json")
    process = start(*words)
    wait_for(process, cache, "many/*.receipts/00000.json")
    ended(process, "SIGTERM")
    answer, _ = start(*words, "--plan").communicate()
    assert json.loads(answer)["stores"][0]["cached"] in (1024, 2048)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_drawing_is_ended(tmp_path, name):
    process = start("extract", "faces-test", *MINI, "--cache", tmp_path / "cache")
    wait_for(process, tmp_path / "cache" / "builtin", ".*/*/*.jpg")
    ended(process, name)
    assert process.returncode == SIGNALS[name]
    assert [path.name for path in (tmp_path / "cache" / "builtin").iterdir()] == []


@pytest.mark.parametrize("name", ["SIGHUP", "SIGINT"])
def test_what_was_ignored_at_the_start_stays_so(many, tmp_path, name):
    """`nohup`, and what a shell starts in the background."""
    cache = tmp_path / "cache"
    ignore = lambda: signal.signal(getattr(signal, name), signal.SIG_IGN)  # noqa: E731
    process = start("extract", many, *MINI, "--cache", cache, "--limit", 1200, before=ignore)
    wait_for(process, cache, "many/*.receipts/00000.json")
    process.send_signal(getattr(signal, name))
    process.communicate()
    assert process.returncode == 0


@pytest.mark.parametrize("name", SIGNALS)
def test_before_anything_is_done(tmp_path, name):
    """While modules are imported, too."""
    for delay in (0.15, 0.4, 0.8):
        process = start("evaluate", "faces-test", "--clip", "miniature", "--cached-only", "--cache", tmp_path)
        time.sleep(delay)
        process.send_signal(getattr(signal, name))
        _, said = process.communicate()
        assert "Traceback" not in said or delay == 0.15, said
        assert process.returncode in (SIGNALS[name], -getattr(signal, name), 2), said


def test_an_error_on_the_way_out_of_an_interruption_is_the_interruption(capsys):
    """A signal may come while a pool of processes is being started, which then cannot be waited for."""

    def interrupted() -> Doctor:
        try:
            raise Interruption(signal.SIGHUP)
        finally:
            raise RuntimeError("cannot join thread before it is started")

    assert run(command("doctor"), interrupted) == SIGNALS["SIGHUP"]
    assert capsys.readouterr().err.startswith("interrupted by SIGHUP. ")
