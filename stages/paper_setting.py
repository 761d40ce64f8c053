"""Whose tables are reproduced, and how the commands for it are written."""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..encoders.names import DEFAULT_TEACHER, teacher_name
from ..manifests.paper import DATASETS, TRAIN, RowOfPaper


@dataclass(frozen=True)
class Setting:
    """By default the paper's backbones, teacher, training faces and test sets."""

    clips: Sequence[str] = ()
    """By default those of each table."""
    teacher: str = DEFAULT_TEACHER
    train: str = TRAIN
    tests: Sequence[str] = tuple(name.lower() for name in DATASETS)
    frames: str = "released"
    given: Sequence[str] = ()
    """Options that every command repeats, for example ("--cache", "DIR")."""

    def is_the_papers(self, row: RowOfPaper) -> bool:
        """Whether a published number of a row was reached in this setting."""
        is_usual = teacher_name(self.teacher).canonical == DEFAULT_TEACHER and self.train == TRAIN
        return is_usual or not row.needs_teacher

    def command(self, *parts: str) -> str:
        """An `expclip` command in this setting."""
        return shlex.join(["expclip", *parts, *self.given])

    def test_command(self, verb: str, *parts: str) -> str:
        """An `expclip` command on all test sets in this setting."""
        frames = ("--frames", self.frames) if self.frames != "released" else ()
        return self.command(verb, *self.tests, *parts, *frames)

    def fit_command(self, rows: Sequence[RowOfPaper]) -> str:
        """The command that fits the heads of rows with one kind of head."""
        objective = ("--objective", rows[0].objective) if rows[0].objective != "infonce" else ()
        what = (*repeated("--clip", clips_of(rows)), "--teacher", self.teacher)
        how = (*repeated("--instruction", instructions_of(rows)), "--head", rows[0].head, *objective)
        return self.command("fit-head", "--train", self.train, *what, *how)


def clips_of(rows: Iterable[RowOfPaper]) -> list[str]:
    return list(dict.fromkeys(row.backbone for row in rows))


def instructions_of(rows: Iterable[RowOfPaper]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row.instructions))


def repeated(option: str, values: Iterable[str]) -> tuple[str, ...]:
    return tuple(part for value in values for part in (option, value))
