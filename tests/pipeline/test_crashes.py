"""An image that kills whoever decodes it is one failed row: everything else is as ever."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import psutil
import pytest
import trees
import videos
from conftest import save_pictures
from crashes import Crashes
from expclip import crop
from expclip.cache.store import FeatureStore
from expclip.stages.datasets import audit
from lab import Lab

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")

EXTRACT = [sys.executable, "-m", "expclip", "extract", "--clip", "miniature", "--device", "cpu", "--json", "--cache"]


@pytest.fixture
def lab(tmp_path) -> Lab:
    """It decodes in two processes."""
    return Lab(tmp_path / "cache", workers=2, clip="miniature")


@pytest.fixture
def crashes(tmp_path) -> Crashes:
    return Crashes(tmp_path / "planted")


@pytest.fixture
def deadly(crashes, monkeypatch) -> Callable[..., None]:
    """From now on, files of these names end the processes that open them by some signal."""

    def plant(names: dict[str, str], **how: int) -> None:
        for variable, value in crashes.environment(names, **how).items():
            monkeypatch.setenv(variable, value)

    return plant


def why(how: str) -> str:
    return f"decoding it killed the process ({how})"


def reasons(extraction) -> dict[str, str]:
    return {row.source: row.error for row in extraction.failed}


def store_of(lab: Lab) -> FeatureStore:
    (store,) = lab.cache.stores()
    return store


@pytest.mark.parametrize("executor", ["local", "dask"])
def test_images_that_crash_their_decoder_fail_by_name_and_nothing_else_changes(
    lab, deadly, tmp_path, capfd, executor
):
    save_pictures(tmp_path / "pictures", 1100)  # two shards
    sound = lab.but(cache=tmp_path / "sound", workers=0)
    sound.extract(tmp_path / "pictures")
    expected = store_of(sound).read()
    expected[[3, 4, 19, 1050]] = np.nan
    names = {"00003.png": "SIGSEGV", "00004.png": "SIGABRT", "00019.png": "SIGBUS", "01050.png": "SIGKILL"}
    deadly(names)
    capfd.readouterr()
    found = lab.extract(tmp_path / "pictures", executor=executor)
    assert [line.split(":")[0] for line in "".join(capfd.readouterr()).splitlines()] == ["new cache here", "extract"]
    assert reasons(found) == {name: why(how) for name, how in names.items()}
    assert sorted(store_of(lab).receipts.read()) == [0, 1]
    np.testing.assert_array_equal(store_of(lab).read(), expected)


def test_what_crashed_stays_failed_until_it_is_to_be_tried_again(lab, photos, deadly, crashes):
    deadly({"007.png": "SIGSEGV"})
    lab.extract(photos)
    again = lab.extract(photos)
    assert (again.encoded, reasons(again)) == (0, {"007.png": why("SIGSEGV")})
    assert crashes.deaths("007.png") == 2, "a second death shows that it was no accident"
    deadly({})
    healed = lab.extract(photos, retry_failed=True)
    assert (healed.encoded, reasons(healed)) == (1, {})


def test_a_process_that_died_once_costs_no_row(lab, photos, deadly, crashes):
    deadly({"007.png": "SIGKILL"}, times=1)
    assert reasons(lab.extract(photos)) == {}
    assert crashes.deaths("007.png") == 3  # it dies, it is decoded, and it is asked whether it is animated


def test_all_images_may_crash(lab, photos, deadly):
    names = dict.fromkeys([f"{k:03d}.png" for k in range(40)], "SIGSEGV")
    deadly(names)
    assert reasons(lab.extract(photos)) == dict.fromkeys(names, why("SIGSEGV"))


def test_a_video_or_a_frame_that_crashes_leaves_the_other_clips_whole(lab, deadly, tmp_path):
    for name in ("a.mp4", "b.mp4"):
        videos.make(tmp_path / "clips" / name, 20)
    trees.clip(tmp_path / "clips/frames", 3)
    trees.text(tmp_path / "clips/list.txt", ["a.mp4 20 0", "b.mp4 20 1", "frames 3 2"])
    deadly({"a.mp4": "SIGSEGV", "002.png": "SIGABRT"})
    failed = lab.extract(tmp_path / "clips/list.txt").failed
    files = {row.source.partition("[")[0]: row.error for row in failed}
    assert files == {"a.mp4": why("SIGSEGV"), "frames/002.png": why("SIGABRT")}
    assert len(failed) == 16 + 1


@pytest.mark.parametrize("verb", ["extract", "audit"])
def test_a_video_that_crashes_while_its_frames_are_counted_fails_alone(crashes, tmp_path, verb):
    for name in ("a.mp4", "b.mp4"):
        videos.make(tmp_path / "clips/anger" / name, 20)
    command = EXTRACT[:-1] if verb == "extract" else [*EXTRACT[:3], "datasets", "audit"]
    command += [str(tmp_path / "clips"), "--workers", "1", "--cache", str(tmp_path / "cache")]
    environment = os.environ | crashes.environment({"a.mp4": "SIGSEGV"})
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "anger/a.mp4" in ran.stdout and why("SIGSEGV") in " ".join(ran.stdout.split()), ran
    assert ran.returncode == 3
    assert "b.mp4" not in ran.stdout


def test_an_audit_counts_the_frames_of_listed_videos_where_it_may_die(crashes, tmp_path):
    for name in ("a.mp4", "b.mp4"):
        videos.make(tmp_path / "clips" / name, 20)
    trees.text(tmp_path / "clips/list.txt", ["a.mp4 17 0", "b.mp4 18 1"])
    command = [
        *EXTRACT[:3],
        "datasets",
        "audit",
        str(tmp_path / "clips/list.txt"),
        "--cache",
        str(tmp_path / "cache"),
    ]
    environment = os.environ | crashes.environment({"a.mp4": "SIGSEGV"})
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 3
    said = " ".join(ran.stdout.split())
    assert why("SIGSEGV") in said
    assert "b.mp4: 20 in the video, 18 in the list" in said


def test_an_audit_names_what_crashes_and_goes_on(lab, photos, deadly):
    deadly({"007.png": "SIGSEGV"})
    assert audit(lab.workspace, str(photos), workers=2).errors == [f"007.png: {why('SIGSEGV')}"]


def test_cropping_names_what_crashes_and_goes_on(photos, deadly, tmp_path):
    (tmp_path / "boxes.txt").write_text("".join(f"{k:03d}.png 5 5 40 40\n" for k in range(40)))
    deadly({"007.png": "SIGSEGV"})
    found = crop(photos, out=tmp_path / "out", boxes=tmp_path / "boxes.txt", workers=2)
    (failed,) = found.failed
    assert (failed.path, failed.outcome) == ("007.png", "unreadable")
    assert failed.why == "cropping it killed the process (SIGSEGV)"
    deadly({})
    again = crop(photos, out=tmp_path / "out", boxes=tmp_path / "boxes.txt", workers=2)
    assert (again.new, again.failed) == (1, ())


def test_boxes_are_compared_with_pictures_in_processes_that_may_die(photos, crashes, tmp_path):
    (tmp_path / "boxes.txt").write_text("".join(f"{k:03d}.png 5 5 40 40\n" for k in range(40)))
    command = [sys.executable, "-m", "expclip", "crop", photos, "--out", tmp_path / "out", "--workers", "2"]
    environment = os.environ | crashes.environment({"007.png": "SIGSEGV"})
    done = subprocess.run(
        [*map(str, command), "--boxes", str(tmp_path / "boxes.txt")], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 3, done.stderr
    assert "007.png: cropping it killed the process (SIGSEGV)" in done.stderr


def test_a_sheet_of_samples_leaves_out_what_crashes_and_is_drawn(tmp_path, crashes):
    (tmp_path / "faces").mkdir()
    for name in ("anger", "fear"):
        save_pictures(tmp_path / "faces" / name, 2)
    usual = {"cache": tmp_path / "cache", "clip": "miniature", "prompts": "P-1"}
    Lab(usual["cache"]).evaluate(tmp_path / "faces", clip="miniature", prompts="P-1", out=tmp_path / "scores")
    words = [word for name, value in usual.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "expclip", "figures", str(tmp_path / "faces"), "--kind", "samples", *words]
    environment = os.environ | crashes.environment({"00001.png": "SIGSEGV"})
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "out")], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.count("samples-")) == (0, 2), done.stderr
    assert crashes.deaths("00001.png") == 4  # two files of that name, each of them tried again


def test_the_command_ends_with_exit_code_3_and_says_nothing_of_its_own_processes(photos, crashes, tmp_path):
    environment = os.environ | crashes.environment({"007.png": "SIGABRT"}) | {"PYTHONFAULTHANDLER": "1"}
    command = [*EXTRACT, str(tmp_path / "cache"), str(photos)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 3
    assert [row["error"] for row in json.loads(ran.stdout)["failed"]] == [why("SIGABRT")]
    assert [line.partition(":")[0] for line in ran.stderr.splitlines()] == [
        "new cache here",
        "extract",
        "failed",
        "1 rows could not be encoded; they are NaN in the features and left out of what follows",
    ]


SCRIPT = """
import sys
from expclip import extract

found = extract(sys.argv[1], clip="miniature", device="cpu", cache=sys.argv[2])
"""


def test_a_script_needs_no_main_guard_and_no_open_streams(lab, photos, crashes, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, tmp_path / "script.py", photos, lab.cache.root]
    closed = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command]
    environment = os.environ | crashes.environment({"007.png": "SIGSEGV"})
    subprocess.run(closed, env=environment, timeout=300, check=True)
    assert [row.source for row in store_of(lab).failed_rows()] == ["007.png"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_who_decodes_does_not_outlive_who_asks_and_says_nothing(tmp_path, how):
    save_pictures(tmp_path / "pictures", 1000)
    command = [*EXTRACT, str(tmp_path / "cache"), str(tmp_path / "pictures"), "--workers", "2", "--batch-size", "1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True) as ran:
        while len(children := psutil.Process(ran.pid).children(recursive=True)) < 2:
            assert ran.poll() is None, ran.communicate()
            time.sleep(0.001)
        os.killpg(ran.pid, how)  # as a terminal does: everything of the command's group
        said = ran.communicate()[1].decode()
    assert psutil.wait_procs(children, timeout=60)[1] == []
    assert ran.returncode == (130 if how == signal.SIGINT else -how)
    assert "Traceback" not in said
