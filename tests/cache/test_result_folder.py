"""A folder of results holds one run's files, whole, beside what others put there."""

import errno
import json
import os
from pathlib import Path

import pytest
from expclip.aside import beside
from expclip.cache import result_folder
from expclip.cache.result_folder import new_results
from expclip.cache.run_note import Run, read_note, refuse_anothers
from expclip.errors import ExpclipError, UsageError
from expclip.manifests.own_output import MARKER
from killing import killed_at_every_change, visible

RUN = Run("evaluate", "expclip evaluate faces")


def write(out: Path, run: Run = RUN, **files: str) -> None:
    """Files by their name without a suffix, in which `__` stands for a slash."""
    with new_results(out, run) as made:
        for name, text in files.items():
            path = made / f"{name.replace('__', '/')}.txt"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)


def shown(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(folder).as_posix(): path.read_text() for path in sorted(files)}


def left_aside(folder: Path) -> Path:
    """Where a folder is that a process which is dead by now had set aside."""
    host = beside(folder).suffix.partition("-")[0]
    return folder.with_name(f".{folder.name}{host}-7ffffff0-aaaaaa-abcdef.evaluate")


def stay_where_it_is(monkeypatch):
    monkeypatch.setattr(result_folder, "_may_move", lambda final: not final.exists())


def refuse_links(monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr("os.link", refuse)


WAYS = {"all at once": lambda monkeypatch: None, "file by file": stay_where_it_is, "without links": refuse_links}


@pytest.fixture(params=WAYS)
def way(request, monkeypatch) -> str:
    WAYS[request.param](monkeypatch)
    return request.param


def test_a_run_takes_the_place_of_the_one_before_and_what_others_put_there_stays(tmp_path, way):
    out = tmp_path / "out"
    write(out, scores="old", tables="old", figures__a="old", predictions__a="old")
    (out / "notes.txt").write_text("mine")
    (out / "figures" / "mine.txt").write_text("mine")
    (out / "mine" / "deep").mkdir(parents=True)
    (out / "mine" / "deep" / "b.txt").write_text("mine")
    (out / "mine" / "empty").mkdir()
    (out / "mine" / "link").symlink_to("deep/b.txt")
    (out / "mine").chmod(0o750)
    for scores in ("new", "newer"):
        write(out, scores=scores, figures__b=scores)
        files = shown(out)
        assert files.pop("mine/link") == "mine"
        assert files == {
            "figures/b.txt": scores,
            "figures/mine.txt": "mine",
            "mine/deep/b.txt": "mine",
            "notes.txt": "mine",
            "scores.txt": scores,
        }
    assert not (out / "predictions").exists()
    assert (out / "mine" / "empty").is_dir()
    assert (out / "mine" / "link").is_symlink()
    assert (out / "mine").stat().st_mode & 0o777 == 0o750
    assert os.listdir(tmp_path) == ["out"]  # noqa: PTH208
    assert [path.name for path in out.iterdir() if path.name[0] == "."] == [MARKER]


def test_the_marker_says_which_version_and_command_made_which_files(tmp_path, way):
    write(tmp_path / "out", scores="1", figures__a="1")
    said = json.loads((tmp_path / "out" / MARKER).read_text())
    assert (said["made_by"], said["version"], said["what"]) == ("expclip", "0.1.0", "results")
    note = read_note(tmp_path / "out", "evaluate")
    assert note is not None
    assert note.is_whole
    assert note.command == "expclip evaluate faces"
    assert note.files == {"scores.txt", "figures/a.txt"}


def test_among_other_things_the_same_is_said_without_a_mark_that_all_is_ours(tmp_path, way):
    (tmp_path / "photo.png").write_text("mine")
    for scores in ("old", "new"):
        write(tmp_path, scores=scores)
        assert not (tmp_path / MARKER).exists()
        note = read_note(tmp_path, "evaluate")
        assert note is not None
        assert note.files == {"scores.txt"}
    (tmp_path / "photo.png").unlink()
    assert shown(tmp_path) == {"scores.txt": "new"}


def test_each_command_has_one_run_in_a_folder_and_no_file_of_anothers(tmp_path, way):
    out = tmp_path / "out"
    drawn = Run("figures", "expclip figures faces")
    write(out, scores="1", tables="1")
    write(out, drawn, tsne="1", samples="1")
    write(out, scores="2")
    write(out, drawn, tsne="2")
    assert shown(out) == {"scores.txt": "2", "tsne.txt": "2"}
    refuse_anothers(out, "evaluate", "scores.txt")
    with pytest.raises(UsageError, match=r"out .*: scores.txt there is of `expclip evaluate faces`: choose another"):
        refuse_anothers(out, "reproduce", "scores.txt")


def test_what_an_earlier_version_wrote_goes_as_far_as_it_can_be_told(tmp_path, way):
    out = tmp_path / "out"
    out.mkdir()
    for name in ("scores", "tables", "mine"):
        (out / f"{name}.txt").write_text("old")
    write(out, Run("evaluate", "", lambda folder: ["scores.txt", "tables.txt", "gone.txt"]), scores="new")
    assert shown(out) == {"mine.txt": "old", "scores.txt": "new"}


def test_a_run_that_writes_nothing_or_fails_changes_nothing(tmp_path, way):
    out = tmp_path / "out"
    with new_results(out, RUN):
        pass
    assert not out.exists()
    write(out, scores="old")
    with new_results(out, RUN):
        pass

    def fail(error: BaseException) -> None:
        with new_results(out, RUN) as made:
            (made / "scores.txt").write_text("half")
            raise error

    for error in (ValueError("broken"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            fail(error)
    assert shown(out) == {"scores.txt": "old"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert sorted(path.name for path in out.iterdir()) == [MARKER, "scores.txt"]


def test_the_working_directory_stays_the_same_folder(tmp_path, monkeypatch):
    write(tmp_path / "out", scores="old")
    number = (tmp_path / "out").stat().st_ino
    monkeypatch.chdir(tmp_path / "out")
    for out in (Path(), Path("../out")):
        write(out, scores="new")
        assert Path().stat().st_ino == Path("../out").stat().st_ino == number
        assert shown(Path()) == {"scores.txt": "new"}


def test_a_link_to_a_folder_stays_one(tmp_path):
    (tmp_path / "disk" / "results").mkdir(parents=True)
    (tmp_path / "out").symlink_to("disk/results")
    (tmp_path / "new").symlink_to("disk/missing")
    for out in (tmp_path / "out", tmp_path / "new"):
        write(out, scores="old")
        write(out, scores="new")
        assert out.is_symlink()
        assert shown(out) == {"scores.txt": "new"}
    assert sorted(path.name for path in (tmp_path / "disk").iterdir()) == ["missing", "results"]


@pytest.mark.parametrize("what", ["a folder for a file", "a file for a folder", "a link for a folder"])
def test_what_is_in_the_way_is_named_and_stays(tmp_path, what, way):
    out = tmp_path / "out"
    write(out, scores="old")
    if what == "a folder for a file":
        (out / "tables.txt").mkdir()
    elif what == "a file for a folder":
        (out / "figures").write_text("mine")
    else:
        (tmp_path / "elsewhere").mkdir()
        (out / "figures").symlink_to("../elsewhere")
    before = shown(out)
    with pytest.raises(UsageError, match=r"(tables.txt|figures): a file or folder of ours is called so: move"):
        write(out, scores="new", tables="new", figures__a="new")
    assert shown(out) == before
    assert os.path.lexists(out / ("tables.txt" if what == "a folder for a file" else "figures"))


def test_a_note_that_lies_removes_nothing_outside_of_the_folder(tmp_path, monkeypatch):
    stay_where_it_is(monkeypatch)
    out = tmp_path / "out"
    write(out, scores="old")
    (tmp_path / "precious.txt").write_text("mine")
    (out / "link").symlink_to(tmp_path)
    said = json.loads((out / MARKER).read_text())
    for file in ("../precious.txt", str(tmp_path / "precious.txt"), "link/precious.txt", "", ".", "a\0b", 3, None):
        said["runs"]["evaluate"]["files"].append(file)
    (out / MARKER).write_text(json.dumps(said))
    write(out, scores="new")
    assert (tmp_path / "precious.txt").read_text() == "mine"
    for content in ("", "[]", '{"runs": 1}', '{"runs": {"evaluate": []}}', '{"runs": {"evaluate": {"files": 1}}}'):
        (out / MARKER).write_text(content)
        write(out, scores="newest")
        assert (out / "scores.txt").read_text() == "newest"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_what_the_disk_refuses_is_one_line_and_the_folder_is_as_it_was(tmp_path, monkeypatch, code):
    out = tmp_path / "out"
    write(out, scores="old")
    (out / "mine.txt").write_text("mine")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    for function in ("os.fsync", "os.link", "os.mkdir"):
        with monkeypatch.context() as patched:
            patched.setattr(function, refuse)
            with pytest.raises(ExpclipError, match=r"cannot write .*out: the disk .*run the command again"):
                write(out, scores="new")
        assert shown(out) == {"mine.txt": "mine", "scores.txt": "old"}
        assert [path.name for path in tmp_path.iterdir()] == ["out"]


STEPS = """
from expclip.cache.result_folder import new_results
from expclip.cache.run_note import Run

def results(out, names, text):
    with new_results(out, Run("evaluate", "expclip evaluate")) as made:
        for name in names:
            (made / name).parent.mkdir(exist_ok=True)
            (made / name).write_text(text)

def prepare(root):
    results(root / "out", ["scores.csv", "predictions/a.txt", "figures/a.png"], "old")
    (root / "out/figures/mine.png").write_text("mine")
    (root / "out/mine.txt").write_text("mine")

def write(root):
    results({out}, ["scores.csv", "tables.md", "figures/b.png"], "new")
"""
USERS = {"out/mine.txt", "out/figures/mine.png"}


def test_killed_at_any_change_the_folder_is_the_old_one_the_new_one_or_absent(tmp_path):
    found = killed_at_every_change(tmp_path, STEPS.format(out='root / "out"'))
    whole = (visible(found.before), visible(found.after), {})
    states = [whole.index(visible(state)) for state in found.stopped]
    assert set(states) == {0, 1, 2}
    assert states == sorted(states, key=[0, 2, 1].index)
    for state in found.stopped:
        assert {path for path in USERS if any(one.endswith(path.removeprefix("out")) for one in state)} == USERS
    assert {path for path, what in found.after.items() if what and visible({path: what})} == {
        *USERS,
        *("out/scores.csv", "out/tables.md", "out/figures/b.png"),
    }
    assert all(state == found.after for state in found.again)


def test_killed_at_any_change_a_folder_that_has_to_stay_says_that_it_is_not_whole(tmp_path):
    steps = STEPS.format(out="here(root)") + "\ndef here(root):\n    os.chdir(root / 'out')\n    return Path()\n"
    found = killed_at_every_change(tmp_path, steps)
    for number, state in enumerate(found.stopped, 1):
        note = read_note(tmp_path / str(number) / "out", "evaluate")
        assert note is not None  # of the next run, which is whole again
        assert note.is_whole
        assert state.keys() >= USERS
        for whole in (found.before, found.after):
            if state[f"out/{MARKER}"] == whole[f"out/{MARKER}"]:
                assert visible(state) == visible(whole)
    assert all(state == found.after for state in found.again)


def test_files_that_lie_aside_come_back_though_somebody_made_the_folder_anew(tmp_path):
    out = tmp_path / "out"
    write(out, scores="old")
    (out / "mine.txt").write_text("mine")
    out.rename(left_aside(out))
    out.mkdir()
    (out / "other.txt").write_text("mine too")
    write(out, scores="new")
    assert shown(out) == {"mine.txt": "mine", "other.txt": "mine too", "scores.txt": "new"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_another_folders_remains_are_left_alone(tmp_path):
    write(tmp_path / "a.b", scores="old")
    aside = left_aside(tmp_path / "a.b")
    (tmp_path / "a.b").rename(aside)
    write(tmp_path / "a", scores="1")
    assert shown(tmp_path / "a") == {"scores.txt": "1"}
    assert aside.is_dir()
