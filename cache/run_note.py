"""What a folder of results says of the runs that wrote it: which version and command, and which files are theirs."""

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UsageError, option
from ..manifests.own_output import MARKER, maker, may_be_marked
from .files import read_json, write_json

OUT = option("out")
"""What chooses where results are written."""
UNMARKED = ".expclip-results"
"""The note's name where other things lie in the folder too; elsewhere the marker of our own output holds it."""
NOTES = (UNMARKED, MARKER)
_RUNS, _COMMAND, _FILES, _IS_WHOLE, _FEATURES = "runs", "command", "files", "whole", "features"


def _none(folder: Path) -> Collection[str]:
    return ()


@dataclass(frozen=True)
class Run:
    """What writes into a folder of results."""

    name: str
    """Of the command, `evaluate`: of each there is one run in a folder."""
    command: str
    """As it is typed."""
    older: Callable[[Path], Iterable[str]] = _none
    """The files in a folder that it wrote before there were notes."""
    features: Sequence[dict[str, Any]] = ()
    """What is known of the features behind it, a dictionary for each store."""


@dataclass(frozen=True)
class Note:
    """What a folder says of one run."""

    command: str
    files: frozenset[str]
    """Its files, relative to the folder."""
    is_whole: bool
    """False while files are replaced one by one, and where that was interrupted."""
    features: tuple[Any, ...] = ()
    """What is said of the features behind it; nothing in notes of older versions."""


def read_note(folder: Path, name: str) -> Note | None:
    """What a folder says of the run of a command; None where it says nothing."""
    return _parsed(_runs(folder).get(name))


def files_of(folder: Path, run: Run) -> set[str]:
    """The files in a folder, if there is one, that are of an earlier run of the same command."""
    note = read_note(folder, run.name)
    if note is not None:
        return set(note.files)
    return set(run.older(folder)) if folder.is_dir() else set()


def write_whole_note(made: Path, folder: Path, run: Run, files: Iterable[str]) -> str:
    """Note a run and its files in a hidden folder, as they are to stand in another; returns the note's name.

    It takes the place of an earlier run of the same command; what is said of other commands stays. Raises OSError
    where the disk refuses.
    """
    name, content = _noted(folder, run, files, is_whole=True)
    (made / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return name


def write_half_note(folder: Path, run: Run, files: Iterable[str]) -> None:
    """Note in a folder that its files are being replaced: `files` are those of the earlier run and of the next."""
    name, content = _noted(folder, run, files, is_whole=False)
    write_json(folder / name, content, OUT)


def _noted(folder: Path, run: Run, files: Iterable[str], is_whole: bool) -> tuple[str, dict[str, Any]]:
    """The name and the content of the note."""
    said: dict[str, Any] = {_COMMAND: run.command, _IS_WHOLE: is_whole, _FILES: sorted(files)}
    said |= {_FEATURES: list(run.features)} if run.features else {}
    content = maker("results") | {_RUNS: _runs(folder) | {run.name: said}}
    return MARKER if may_be_marked(folder) else UNMARKED, content


def refuse_anothers(out: Path | None, name: str, file: str) -> None:
    """Raise UsageError where a file that a command writes into `out` is there of another command; None is none."""
    for other, said in _runs(out).items() if out is not None else ():
        note = _parsed(said)
        if other != name and note and file in note.files:
            raise UsageError(f"{OUT} {out}: {file} there is of `{note.command}`: choose another folder")


def _runs(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in NOTES:
        content = read_json(folder / name)
        runs = content.get(_RUNS) if isinstance(content, dict) else None
        found |= runs if isinstance(runs, dict) else {}
    return found


def _parsed(said: Any) -> Note | None:
    if not isinstance(said, dict) or not isinstance(said.get(_FILES), list):
        return None
    files = frozenset(file for file in said[_FILES] if isinstance(file, str) and "\0" not in file)
    known = said.get(_FEATURES)
    features = tuple(known) if isinstance(known, list) else ()
    return Note(str(said.get(_COMMAND, "")), files, said.get(_IS_WHOLE) is not False, features)
