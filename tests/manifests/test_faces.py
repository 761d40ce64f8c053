"""The face renderer and its built-in data sets."""

import errno
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
import pytest
from expclip.aside import beside
from expclip.manifests.catalogue import parse_dataset
from expclip.manifests.faces import RENDERER_VERSION, SETS, contact_sheet, draw_face, ensure_set, sample_face
from expclip.manifests.faces.action_units import ACTION_UNITS, CLASSES, PROTOTYPES, sample_expression
from expclip.manifests.faces.appearance import Appearance, View
from expclip.manifests.faces.sampling import Face, sample_clip
from expclip.manifests.faces.sets import TRAIN_PARTS, ClipSet, LabelledSet, UnlabelledSet
from PIL import Image

# FACS groups: what moves above and what below the line under the eyes. AU6 and AU9 do both.
UPPER_FACE = (1, 2, 4, 5, 7)
LOWER_FACE = (10, 12, 14, 15, 17, 20, 23, 25, 26, 27)
UNDER_THE_EYES = 48


def draw(face: Face) -> np.ndarray:
    return draw_face(face.action_units, face.appearance, face.view)


def frontal(units: dict[int, float]) -> np.ndarray:
    return draw_face(units, Appearance(), View()).astype(int)


@pytest.fixture
def threads():
    """Render in this process, so that sets defined in a test are seen."""
    with joblib.parallel_config(backend="threading"):
        yield


def test_faces_depend_on_seed_and_index_only():
    forwards = [draw(sample_face(7, index)) for index in range(6)]
    backwards = [draw(sample_face(7, index)) for index in reversed(range(6))][::-1]
    np.testing.assert_array_equal(forwards, backwards)
    assert len({picture.tobytes() for picture in forwards}) == 6
    assert not np.array_equal(forwards[0], draw(sample_face(8, 0)))


def test_a_label_asks_for_that_class():
    for label in range(8):
        assert sample_face(1, 5, label).label == label
    with pytest.raises(ValueError, match="label"):
        sample_face(1, 5, 8)


def test_half_of_the_unlabelled_faces_show_an_expression():
    labels = [sample_face(3, index).label for index in range(400)]
    assert 160 < labels.count(None) < 240
    assert set(labels) == {None, *range(8)}


def test_sampled_intensities_are_complete_and_in_range():
    for index in range(200):
        units = sample_face(4, index).action_units
        assert tuple(units) == ACTION_UNITS
        assert all(0.0 <= value <= 1.0 for value in units.values())


def test_samples_lie_nearest_their_own_prototype_mostly_but_not_always():
    rng = np.random.default_rng(0)
    cores = np.array([[PROTOTYPES[name].core.get(unit, 0.0) for unit in ACTION_UNITS] for name in CLASSES])
    hits = []
    for label in range(8):
        for _ in range(100):
            sample = np.array(list(sample_expression(rng, label).values()))
            hits.append(np.argmin(((cores - sample) ** 2).sum(axis=1)) == label)
    assert 0.75 < np.mean(hits) < 1.0


@pytest.mark.parametrize("unit", ACTION_UNITS)
def test_every_action_unit_moves_its_own_region_and_ever_more(unit):
    neutral = frontal({})
    change = [np.abs(frontal({unit: intensity}) - neutral) for intensity in (0.25, 0.5, 0.75, 1.0)]
    sizes = [difference.sum() for difference in change]
    assert sizes[0] > 0
    assert sizes == sorted(set(sizes))
    share_above = change[-1][:UNDER_THE_EYES].sum() / sizes[-1]
    if unit in UPPER_FACE:
        assert share_above == 1.0
    elif unit in LOWER_FACE:
        assert share_above < 0.01
    else:
        assert 0.1 < share_above < 0.9


def test_a_frontal_face_is_symmetric():
    picture = draw_face({1: 0.6, 4: 0.5, 12: 1.0, 25: 0.7}, Appearance(hair_style="bald"), View()).astype(int)
    rows = slice(20, 90)
    # The bridge of the nose is shaded on one side only, and eyes catch light from one side.
    without_nose = np.r_[0:40, 56:96]
    asymmetry = np.abs(picture - picture[:, ::-1])[rows][:, without_nose]
    assert asymmetry.mean() < 3.0


def test_what_cannot_be_drawn_is_refused():
    for units in ({3: 0.5}, {12: 1.2}, {12: -0.1}, {12: float("nan")}):
        with pytest.raises(ValueError, match="action unit"):
            draw_face(units, Appearance(), View())
    with pytest.raises(ValueError, match="size"):
        draw_face({}, Appearance(), View(), size=8)


@pytest.mark.parametrize("size", [48, 96, 224])
def test_pictures_have_the_size_asked_for(size):
    picture = draw_face({12: 1.0}, Appearance(), View(noise=2.0, blur=0.5, greyscale=True), size)
    assert picture.shape == (size, size, 3)
    assert picture.dtype == np.uint8
    assert np.ptp(picture) > 100


def test_classes_carry_signal_without_being_trivial():
    def features(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(count) % 7
        grey = [draw(sample_face(seed, index, int(labels[index]))).mean(axis=2) for index in range(count)]
        small = np.array(grey).reshape(count, 32, 3, 32, 3).mean(axis=(2, 4)).reshape(count, -1)
        small -= small.mean(axis=1, keepdims=True)
        return small / small.std(axis=1, keepdims=True), labels

    known, known_labels = features(11, 560)
    unseen, unseen_labels = features(12, 280)
    means = np.array([known[known_labels == label].mean(axis=0) for label in range(7)])
    found = np.argmin(((unseen[:, None] - means) ** 2).sum(axis=2), axis=1)
    assert 0.25 < np.mean(found == unseen_labels) < 0.9


def test_clips_go_from_rest_to_the_apex_and_hold_it():
    for index in range(16):
        frames = sample_clip(5, index, index % 8, 30)
        totals = np.array([sum(frame.action_units.values()) for frame in frames])
        held = totals[-10:]
        assert held.min() > 0.9 * totals.max()
        assert len(set(held.tolist())) > 1
        if CLASSES[index % 8] != "neutral":
            assert totals[0] < 0.5 * held.min()
        assert {frame.appearance for frame in frames} == {frames[0].appearance}
        assert frames[0].view != frames[-1].view


def test_contempt_alone_is_one_sided_and_combinations_now_and_then():
    for label, name in enumerate(CLASSES):
        one_sided = [sample_face(6, index, label).one_sided for index in range(40)]
        assert all(0.75 <= abs(value) <= 1.0 if name == "contempt" else value == 0.0 for value in one_sided)
        assert len({np.sign(value) for value in one_sided}) == (2 if name == "contempt" else 1)
    strays = [sample_face(6, index) for index in range(600)]
    share = np.mean([face.one_sided != 0.0 for face in strays if face.label is None])
    assert 0.0 < share < 0.1


def test_a_smirk_on_one_side_is_the_mirror_of_one_on_the_other():
    units, look = {12: 0.6, 14: 1.0}, Appearance(hair_style="bald")
    right, left, both = (
        draw_face(units, look, View(), one_sided=value).astype(int)[56:84] for value in (1.0, -1.0, 0.0)
    )
    # Below the nose, which is shaded on one side only.
    assert np.abs(right - left[:, ::-1]).mean() < 3.0
    assert np.abs(right - right[:, ::-1]).mean() > 2 * np.abs(both - both[:, ::-1]).mean()
    with pytest.raises(ValueError, match="one_sided"):
        draw_face(units, look, View(), one_sided=1.5)


def test_the_three_sets_are_as_large_as_documented_and_disjoint():
    assert {name: face_set.count for name, face_set in SETS.items()} == {
        "faces-train": 6000,
        "faces-test": 1600,
        "faces-clips": 208,
    }
    assert len({face_set.seed for face_set in SETS.values()}) == 3
    assert RENDERER_VERSION >= 1


def test_train_parts_are_at_least_as_large_as_their_test_parts_and_from_series_of_their_own():
    every = SETS | TRAIN_PARTS
    assert len({face_set.seed for face_set in every.values()}) == len(every)
    for name, part in TRAIN_PARTS.items():
        test = SETS[name.removesuffix("-train")]
        assert type(part) is type(test)
        assert part.count >= test.count
        assert parse_dataset(f"{name.removesuffix('-train')}:train").name == name


def test_clip_lengths_spread_and_a_seventh_is_short():
    lengths = [SETS["faces-clips"].n_images(index) for index in range(208)]
    assert min(lengths) >= 12
    assert max(lengths) <= 40
    assert sum(length <= 16 for length in lengths) == 30
    assert lengths.count(16) >= 3
    assert len(set(lengths)) > 20


def test_unlabelled_set_is_a_plain_folder_of_jpegs(tmp_path, monkeypatch, threads):
    monkeypatch.setitem(SETS, "tiny", UnlabelledSet(count=60, seed=9))
    folder = ensure_set("tiny", tmp_path / "deep" / "tiny")
    assert sorted(path.name for path in folder.iterdir()) == [f"{index:05d}.jpg" for index in range(60)]
    with Image.open(folder / "00033.jpg") as picture:
        assert picture.format == "JPEG"
        assert picture.size == (96, 96)
        assert picture.mode == "RGB"
        stored = np.asarray(picture).astype(int)
    assert np.abs(stored - draw(sample_face(9, 33))).mean() < 4.0


def test_labelled_set_is_a_balanced_image_folder(tmp_path, monkeypatch, threads):
    monkeypatch.setitem(SETS, "tiny", LabelledSet(count=24, seed=9))
    folder = ensure_set("tiny", tmp_path / "tiny")
    files = sorted(folder.glob("*/*.jpg"))
    assert Counter(path.parent.name for path in files) == dict.fromkeys(CLASSES, 3)
    assert len({path.name for path in files}) == 24


def test_clip_set_lists_its_frame_folders(tmp_path, monkeypatch, threads):
    monkeypatch.setitem(SETS, "tiny", ClipSet(count=7, seed=9))
    folder = ensure_set("tiny", tmp_path / "tiny")
    lines = [line.split() for line in (folder / "faces-clips.txt").read_text().splitlines()]
    assert [int(label) for _, _, label in lines] == list(range(7))
    for clip, n_frames, _ in lines:
        names = sorted(path.name for path in (folder / clip).iterdir())
        assert names == [f"{number:04d}.jpg" for number in range(1, int(n_frames) + 1)]
    assert len(list(folder.glob("clips/*"))) == 7


def test_worker_processes_draw_the_same_pictures(tmp_path, monkeypatch):
    monkeypatch.setitem(SETS, "tiny", UnlabelledSet(count=50, seed=9))
    parallel = ensure_set("tiny", tmp_path / "parallel")
    with joblib.parallel_config(backend="threading"):
        single = ensure_set("tiny", tmp_path / "single")
    for path in parallel.iterdir():
        assert path.read_bytes() == (single / path.name).read_bytes()


def test_progress_counts_images_up_to_the_total(tmp_path, monkeypatch, threads):
    monkeypatch.setitem(SETS, "tiny", ClipSet(count=5, seed=2))
    seen: list[tuple[int, int]] = []
    ensure_set("tiny", tmp_path / "tiny", lambda done, total: seen.append((done, total)))
    total = sum(SETS["tiny"].n_images(index) for index in range(5))
    assert seen[-1] == (total, total)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


def test_an_existing_set_is_not_rendered_again(tmp_path, monkeypatch, threads):
    written = []

    @dataclass(frozen=True)
    class Counted(UnlabelledSet):
        def write(self, index: int, folder: Path) -> None:
            written.append(index)
            super().write(index, folder)

    monkeypatch.setitem(SETS, "tiny", Counted(count=5, seed=1))
    first = ensure_set("tiny", tmp_path / "tiny")
    assert sorted(written) == list(range(5))
    assert ensure_set("tiny", tmp_path / "tiny") == first
    assert len(written) == 5


@pytest.mark.parametrize("failure", [OSError("disk full"), KeyboardInterrupt()])
def test_a_failed_run_leaves_nothing_behind(tmp_path, monkeypatch, failure):
    @dataclass(frozen=True)
    class Failing(UnlabelledSet):
        def write(self, index: int, folder: Path) -> None:
            if index == 3:
                raise failure
            super().write(index, folder)

    monkeypatch.setitem(SETS, "tiny", Failing(count=5, seed=1))
    with joblib.parallel_config(backend="sequential"), pytest.raises(type(failure)):
        ensure_set("tiny", tmp_path / "tiny")
    assert list(tmp_path.iterdir()) == []


KILLED_RUN = """
import os, sys
from pathlib import Path
import joblib
from expclip.manifests.faces import SETS, ensure_set
SETS["tiny"] = type(SETS["faces-train"])(count=100, seed=1)
with joblib.parallel_config(backend="sequential"):
    ensure_set("tiny", Path(sys.argv[1]), lambda done, total: os._exit(9))
"""


def test_a_killed_run_leaves_no_set_and_the_next_one_removes_its_remains(tmp_path, monkeypatch, threads):
    folder = tmp_path / "tiny"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    run = subprocess.run([sys.executable, "-c", KILLED_RUN, str(folder)], env=environment, check=False)
    assert run.returncode == 9
    (remains,) = tmp_path.iterdir()
    assert remains != folder
    being_made = beside(folder)
    being_made.mkdir()
    os.utime(being_made, (0, 0))

    monkeypatch.setitem(SETS, "tiny", UnlabelledSet(count=3, seed=1))
    ensure_set("tiny", folder.with_name("tiny-2"))
    assert remains.exists(), "another set's remains are left alone"
    ensure_set("tiny", folder)
    assert len(list(folder.iterdir())) == 3
    assert not remains.exists()
    assert being_made.exists(), "what a process that lives makes is left alone, however old it is"


def test_pictures_are_on_the_disk_before_the_set_has_its_name(tmp_path, monkeypatch, threads):
    flushed = []
    fsync = os.fsync
    monkeypatch.setattr("os.fsync", lambda handle: flushed.append((tmp_path / "tiny").exists()) or fsync(handle))
    monkeypatch.setitem(SETS, "tiny", UnlabelledSet(count=3, seed=1))
    ensure_set("tiny", tmp_path / "tiny")
    assert flushed.count(False) >= 3


def test_a_faster_process_wins(tmp_path, monkeypatch, threads):
    final = tmp_path / "tiny"

    @dataclass(frozen=True)
    class Overtaken(UnlabelledSet):
        def write(self, index: int, folder: Path) -> None:
            super().write(index, folder)
            final.mkdir(exist_ok=True)
            (final / "winner").touch()

    monkeypatch.setitem(SETS, "tiny", Overtaken(count=2, seed=1))
    assert ensure_set("tiny", final) == final
    assert [path.name for path in final.iterdir()] == ["winner"]
    assert list(tmp_path.iterdir()) == [final]


def test_lost_worker_processes_are_replaced_by_this_one(tmp_path, monkeypatch):
    def broken(**options):
        def run(jobs):
            raise BrokenProcessPool("a worker was killed")

        return run

    monkeypatch.setattr("joblib.Parallel", broken)
    monkeypatch.setitem(SETS, "tiny", UnlabelledSet(count=4, seed=1))
    assert len(list(ensure_set("tiny", tmp_path / "tiny").iterdir())) == 4


def test_unknown_sets_and_unwritable_places_are_refused(tmp_path):
    with pytest.raises(ValueError, match="faces-train"):
        ensure_set("faces", tmp_path / "faces")
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        ensure_set("faces-test", tmp_path / "file" / "faces-test")


def test_contact_sheet_has_a_row_per_class_and_clip():
    sheet = contact_sheet(seed=1, columns=2, clips=("fear",), size=48)
    assert sheet.height == (8 + 1) * 48
    assert sheet.width > 2 * 48
    first = np.asarray(sheet)[:48, -96:-48].astype(int)
    face = sample_face(1, 0, 0)
    np.testing.assert_array_equal(first, draw_face(face.action_units, face.appearance, face.view, 48))
    with pytest.raises(ValueError, match="columns"):
        contact_sheet(columns=1)
    with pytest.raises(ValueError, match="unknown class 'boredom'"):
        contact_sheet(columns=2, clips=("boredom",))


def test_a_picture_that_the_disk_cuts_short_is_an_error_and_no_set(tmp_path):
    """Pillow itself takes a JPEG for written though the disk took only a part of it."""
    script = """
import resource, sys
from pathlib import Path
import joblib
from expclip.manifests.faces import SETS, ensure_set
SETS["tiny"] = type(SETS["faces-train"])(count=2, seed=1)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
with joblib.parallel_config(backend="sequential"):
    try:
        ensure_set("tiny", Path(sys.argv[1]))
    except OSError as error:
        print(error.errno)
"""
    for most in (0, 100, 1000):
        command = [sys.executable, "-c", script, str(tmp_path / "tiny"), str(most)]
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
        assert ran.stdout == f"{errno.EFBIG}\n"
        assert list(tmp_path.iterdir()) == []
