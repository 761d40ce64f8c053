"""A folder of results holds the files of one run, whole, beside whatever else lies there.

A run writes into a hidden folder, which takes the place of the one before it: files of others are in both, as hard
links. So the folder is the old one or the new one whenever the run is killed, or for an instant absent, and the next
run of any command that writes there brings the old one back first. A folder that has to stay what it is changes file
by file instead, under a note that says so: the working directory, a mount point, one whose parent may not be written,
and one with files that cannot be linked.
"""

import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ..aside import beside, clear, is_left_behind, is_temporary, remove
from ..errors import UsageError
from .files import flush, fsync, writing
from .run_note import NOTES, OUT, Run, files_of, write_half_note, write_whole_note

_HAS_TO_STAY = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.EXDEV, errno.EBUSY, errno.EMLINK, errno.ENOSYS),
    *(errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL),
}
"""What is said where a folder cannot be renamed, or a file of another cannot be linked."""


@contextmanager
def new_results(out: Path, run: Run) -> Iterator[Path]:
    """A hidden folder whose files become those of `out` when the block ends well, in place of an earlier run's.

    What others put into `out` stays. A block that writes nothing changes nothing. Raises ExpclipError where the disk
    refuses, UsageError where something of another kind has the name of a file or a folder of the run.
    """
    with writing(out, OUT):
        final = out.resolve()
        _bring_back(final, run)
        made = beside(final if _may_move(final) else final / run.name)
        made.mkdir(parents=True)
    try:
        yield made
        with writing(out, OUT):
            files = sorted(path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file())
            if files:
                _refuse_in_the_way(final, files)
                _put_in_place(final, made, run, files)
    finally:
        remove([made])


def _may_move(final: Path) -> bool:
    """Whether a folder can be renamed, as far as one can know before."""
    if not final.exists():
        return True
    is_held = Path.cwd().is_relative_to(final) or os.path.ismount(final)
    return not is_held and os.access(final.parent, os.W_OK | os.X_OK)


def _bring_back(final: Path, run: Run) -> None:
    """Undo and remove what killed runs left behind."""
    for before in _set_aside(final):
        if not final.exists():
            with suppress(FileNotFoundError):
                before.rename(final)
        elif before.suffix == f".{run.name}" and is_left_behind(before.with_suffix("")):
            _settle(before, final, run)
    clear(final)
    clear(final / run.name)


def _aside(final: Path, run: Run) -> Path:
    """Where a folder is while another takes its place: no temporary, which anybody may remove."""
    name = beside(final)
    return name.with_name(f"{name.name}.{run.name}")


def _set_aside(final: Path) -> list[Path]:
    if not final.parent.is_dir():
        return []
    name = beside(final).stem
    hidden = [path for path in final.parent.iterdir() if path.name.startswith(f"{name}.")]
    return [path for path in hidden if is_temporary(path.stem) and Path(path.stem).stem == name]


def _refuse_in_the_way(final: Path, files: Sequence[str]) -> None:
    folders = {folder for file in files for folder in (final / file).parents if folder.is_relative_to(final)}
    links = {folder for folder in folders - {final} if folder.is_symlink()}
    wrong = [folder for folder in folders if folder in links or (folder.exists() and not folder.is_dir())]
    wrong += [final / file for file in files if (final / file).is_dir()]
    if wrong:
        raise UsageError(f"{min(wrong)}: a file or folder of ours is called so: move this, or choose another {OUT}")


def _put_in_place(final: Path, made: Path, run: Run, files: Sequence[str]) -> None:
    note = write_whole_note(made, final, run, files)
    flush(made)
    if made.parent == final:
        _replace_each(final, made, run, files, note)
        return
    try:
        _replace_whole(final, made, run)
    except OSError as error:
        if error.errno not in _HAS_TO_STAY or not final.is_dir():
            raise
        inside = beside(final / run.name)
        try:
            for name in [*files, note]:  # perhaps to another file system
                (inside / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(made / name, inside / name)
            flush(inside)
            _replace_each(final, inside, run, files, note)
        finally:
            remove([inside])


def _replace_whole(final: Path, made: Path, run: Run) -> None:
    """Let a folder take the place of another, and bring what others have there along."""
    ours = files_of(final, run)
    if final.exists():
        _link(final, made, ours)
        _like(final, made)
        os.utime(made)
        for folder, _, _ in os.walk(made):
            fsync(Path(folder))
    befores: list[Path] = []
    while True:
        before = _aside(final, run)
        with suppress(FileNotFoundError):
            final.rename(before)
            befores.append(before)
        try:
            made.rename(final)
            break
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):  # another run was between the two: once more
                continue
            with suppress(OSError):
                before.rename(final)
            raise
    fsync(final.parent)
    for before in befores:
        if before.exists():  # otherwise another run has brought it back
            _settle(before, final, run)


def _settle(before: Path, final: Path, run: Run) -> None:
    """Remove the folder of the run before, but for what others put there since it was looked through.

    Where the disk refuses it stays, and the next run tries again.
    """
    with suppress(OSError):
        _link(before, final, files_of(before, run))
        rest = beside(final)  # a temporary: what is left of it says no more whose its files are
        before.rename(rest)
        remove([rest])


def _link(old: Path, new: Path, ours: set[str]) -> None:
    """Give all that others have in a folder a second name in another, where it lacks that. Raises OSError."""
    folders = []
    for name in _of_others(old, ours):
        source, target = old / name, new / name
        if source.is_dir() and not source.is_symlink():
            target.mkdir(exist_ok=True)
            folders.append((source, target))
        elif not os.path.lexists(target):
            if source.is_symlink():
                target.symlink_to(source.readlink())
            else:
                os.link(source, target)
    for source, target in reversed(folders):  # their times are those of the last change in them
        _like(source, target)


def _of_others(folder: Path, ours: set[str], above: str = "") -> Iterator[str]:
    """What is not `ours` in a folder, by relative paths; a folder that holds nothing else is ours too."""
    if not os.access(folder, os.W_OK | os.X_OK) or os.path.ismount(folder):
        raise PermissionError(errno.EACCES, "nothing can be removed from this folder", str(folder))
    with os.scandir(folder) as scan:
        entries = list(scan)
    for entry in entries:
        name = f"{above}{entry.name}"
        if name in ours or name in NOTES or is_left_behind(Path(entry.path)):
            continue
        if not entry.is_dir(follow_symlinks=False):
            yield name
            continue
        inner = list(_of_others(Path(entry.path), ours, f"{name}/"))
        if inner or not any(Path(entry.path).iterdir()):
            yield from (name, *inner)


def _like(source: Path, target: Path) -> None:
    """Give a folder the owner, the permissions and the times of another."""
    wanted, found = source.stat(), target.stat()
    if (wanted.st_uid, wanted.st_gid) != (found.st_uid, found.st_gid):
        os.chown(target, wanted.st_uid, wanted.st_gid)
    shutil.copystat(source, target)


def _replace_each(final: Path, made: Path, run: Run, files: Sequence[str], note: str) -> None:
    """Replace the files of an earlier run one by one, under a note that they are not whole before the last."""
    earlier = files_of(final, run)
    write_half_note(final, run, earlier | set(files))
    for name in sorted(earlier - set(files)):
        path = final / name
        if path.parent.resolve().is_relative_to(final) and not path.is_dir():
            path.unlink(missing_ok=True)
            with suppress(OSError):  # where others have something
                path.parent.rmdir()
    for name in files:
        path = final / name
        path.parent.mkdir(parents=True, exist_ok=True)
        (made / name).replace(path)
    for folder in {(final / name).parent for name in files} | {final}:
        fsync(folder)
    (made / note).replace(final / note)
    fsync(final)
