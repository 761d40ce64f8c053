"""The scripts for Slurm do what they say, as far as that can be seen without Slurm: a stub stands for `srun`."""

import os
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from distributed.cli import dask_scheduler, dask_worker
from expclip.cache.cache import Cache
from expclip.stages.reencoding import TOLERANCES
from lab import Lab
from PIL import Image
from typed_commands import request_of

FOLDER = Path(__file__).parent.parent / "docs/slurm"
SCRIPTS = sorted(FOLDER.glob("*.sbatch"))
DASK = {"worker": dask_worker.main, "scheduler": dask_scheduler.main}
SRUN = 'for n in 0 1; do SLURM_PROCID=$n SLURM_LOCALID=$n CUDA_VISIBLE_DEVICES=4,6 "$@" & done; wait'
"""Two tasks of one node that has two GPUs."""


def lines_of(script: Path, program: str) -> list[list[str]]:
    """The words behind a program, of each line that calls it; variables have values that could be theirs."""
    values = {
        '"$@"': "caer-s --root caer-s=/data/CAER-S",
        '"$DEVICE"': "cuda:all",
        '"$ADDRESS"': "tcp://node1:20123",
        '"$PORT"': "20123",
        '"$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT"': "1/4",
    }
    text = script.read_text(encoding="utf-8")
    for variable, value in values.items():
        text = text.replace(variable, value)
    found = re.findall(rf"^(?:exec )?{program} (.*?)(?: >>.*&)?$", text, re.M)
    return [shlex.split(line) for line in found]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
class TestEachScript:
    def test_bash_can_read_it(self, script):
        subprocess.run(["bash", "-n", script], check=True)

    def test_its_commands_and_options_are_there(self, script):
        ours = lines_of(script, "expclip")
        assert len(ours) == 1
        request = request_of(shlex.join(["expclip", *ours[0]]))
        assert request.device == "cuda:all"
        for name, *words in lines_of(script, "dask"):
            assert DASK[name].make_context(name, words).params

    def test_the_line_that_it_begins_with_is_the_one_to_type(self, script):
        (typed,) = re.findall(r"^#   sbatch (\S+) (.*)$", script.read_text(encoding="utf-8"), re.M)
        assert FOLDER.parent.parent / typed[0] == script
        assert request_of(f"expclip extract {typed[1]}").datasets == ("caer-s",)


def test_the_page_starts_workers_by_options_that_are_there():
    page = (FOLDER.parent / "several-gpus.md").read_text(encoding="utf-8")
    lines = re.findall(r"^(?:CUDA_VISIBLE_DEVICES=\d )?dask (worker|scheduler) (.*)$", page, re.M)
    assert {name for name, _ in lines} == set(DASK)
    for name, words in lines:
        assert DASK[name].make_context(name, shlex.split(words)).params


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """1,030 pictures of random pixels, which are two shards."""
    folder = tmp_path_factory.mktemp("data") / "pictures"
    folder.mkdir()
    for row, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (1030, 4, 4, 3), np.uint8)):
        Image.fromarray(pixels).save(folder / f"{row:05d}.png")
    return folder


@pytest.fixture
def slurm(tmp_path, pictures):
    """Runs a script for the pictures on the CPU, in the folder of the test."""
    programs = tmp_path / "bin"
    programs.mkdir()
    python = shlex.quote(sys.executable)
    stubs = {
        "srun": SRUN,
        "python": f'exec {python} "$@"',
        "expclip": f'exec {python} -m expclip "$@"',
        "dask": f'[ "$1" = scheduler ] || echo "worker on $CUDA_VISIBLE_DEVICES"; exec {python} -m dask "$@"',
    }
    for name, text in stubs.items():
        (programs / name).write_text(f"#!/bin/bash\n{text}\n")
        (programs / name).chmod(0o755)

    def run(script: str, **variables: str) -> None:
        path = os.pathsep.join([str(programs), os.environ["PATH"]])
        asked = [pictures, "--clip", "miniature", "--cache", tmp_path / "cache"]
        known = os.environ | {"PATH": path, "DEVICE": "cpu"} | variables
        how = {"env": known, "cwd": tmp_path, "capture_output": True, "text": True}
        ran = subprocess.run(["bash", FOLDER / script, *asked], **how, timeout=300, check=False)
        assert ran.returncode == 0, ran.stderr

    return run


@pytest.fixture(scope="module")
def alone(pictures, tmp_path_factory) -> np.ndarray:
    """The features that one process makes of the pictures."""
    lab = Lab(tmp_path_factory.mktemp("alone"))
    lab.extract(pictures, clip="miniature")
    (store,) = lab.cache.stores()
    return store.read()


def cosines_to(alone: np.ndarray, cache: Cache) -> np.ndarray:
    """Of each row of the only store of a cache, which is complete."""
    (store,) = cache.stores()
    assert store.is_complete()
    one, other = (values.astype(np.float64) for values in (alone, store.read()))
    return (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)


def test_the_jobs_of_an_array_together_leave_a_complete_cache(slurm, alone, tmp_path):
    cache = Cache(tmp_path / "cache")
    for job in ("2", "1"):
        slurm("parts.sbatch", SLURM_ARRAY_TASK_ID=job, SLURM_ARRAY_TASK_COUNT="2")
        (store,) = cache.stores()
        assert store.is_complete() == (job == "1"), "each makes its own part"
    assert cosines_to(alone, cache).min() > TOLERANCES["float32"]


def test_the_workers_of_a_job_have_a_gpu_each_and_leave_a_complete_cache(slurm, alone, tmp_path):
    with socket.create_server(("", 0)) as free:
        port = str(free.getsockname()[1])
    slurm("dask.sbatch", SLURM_JOB_ID="7", SLURM_NTASKS="2", SLURM_CPUS_PER_TASK="1", PORT=port)
    assert sorted(re.findall("worker on (.*)", (tmp_path / "dask-7.log").read_text())) == ["4", "6"]
    assert cosines_to(alone, Cache(tmp_path / "cache")).min() > TOLERANCES["float32"]
