"""Forms of labels that only one data set uses: FERPlus' votes, and AffectNet's arrays, one per picture."""

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

import numpy as np

from ..errors import UsageError
from .classes import CLASSES
from .disk import files_in, frames_in, holds_many, kind_of
from .list_lines import lines_of
from .list_paths import below_root
from .manifest import Manifest, Sample, image_manifest
from .pixel_lines import TableError, rows_of
from .remarks import remark

_ARRAY_SUFFIX = "_exp.npy"
_ARRAY_BYTES = 4096
"""More than one label needs; a longer file is something else."""
_NO_EXPRESSION = 2
"""The last columns of FERPlus' votes: unknown, and no face."""


def majority(votes: Sequence[int]) -> int | None:
    """The column with more than half of the votes once single votes are dropped; None where there is none.

    The last two columns, unknown and no face, never win but count towards the sum. Source: the majority mode of
    FERPlus' own code (Barsoum et al., ICMI 2016).
    """
    kept = [count if count > 1 else 0 for count in votes]
    most = max(kept)
    winner = kept.index(most)
    return winner if 2 * most > sum(kept) and winner < len(votes) - _NO_EXPRESSION else None


def read_votes(
    name: str, root: Path, votes: Path, classes: Sequence[str], own_labels: Mapping[str, str], source: str, usage: str
) -> Manifest:
    """FERPlus: pictures with a majority, by `label.csv` (name, box, votes) or `fer2013new.csv` (usage, name, votes).

    `source` says where the picture called `{name}` is; where it is FER2013's table of pixels, row k of the votes is
    row k of the table. Only rows with a matching usage are taken (`label.csv` has none). Raises UsageError with file
    and line for what cannot be read, and where votes and table do not belong together.
    """
    samples: list[Sample] = []
    usages: list[str] = []
    undecided: list[str] = []
    for row, (where, used_for, picture, counts) in enumerate(_vote_rows(votes, len(own_labels))):
        usages.append(used_for)
        if not fnmatchcase(used_for, usage):
            continue
        winner = majority(counts)
        if winner is None:
            undecided.append(picture or f"row {row}")
            continue
        label = CLASSES.index(own_labels[str(winner)])
        if holds_many(source):
            samples.append(Sample(picture or f"row {row}", source, label, frame=row))
        else:
            path = below_root(source.format(name=picture), where)
            samples.append(Sample(path, path, label))
    if holds_many(source):
        _refuse_other_table(root / source, usages, votes)
    said = "no majority for an expression and"
    remarks = remark(undecided, f"picture has {said} was left out", f"pictures have {said} were left out")
    return image_manifest(name, classes, samples, root, remarks=remarks)


def _vote_rows(votes: Path, expressions: int) -> Iterator[tuple[str, str, str, list[int]]]:
    """The place of each row in a file of votes, its usage ("" in label.csv), the picture's name, and the votes."""
    columns = expressions + _NO_EXPRESSION
    for where, line in lines_of(votes):
        head, *counts = line.rsplit(",", maxsplit=columns)
        first, _, second = head.partition(",")
        if first.strip().lower() == "usage":
            continue
        if len(counts) != columns or not all(count.strip().isdecimal() and len(count) < 6 for count in counts):
            raise UsageError(
                f"{where}: expected two fields and {columns} numbers of votes, found {line[:200]!r}: "
                f"use FERPlus' own file"
            )
        usage, picture = ("", first) if "(" in second else (first, second)
        yield where, usage.strip(), picture.strip(), [int(count) for count in counts]


def _refuse_other_table(table: Path, usages: Sequence[str], votes: Path) -> None:
    """Raise UsageError where rows of a table of pixels and votes do not match, so that labels would shift."""
    if kind_of(table) != "file":
        return  # every picture is missing then, and the manifest says so
    try:
        with table.open("rb") as file:
            in_table = [used_for or "" for used_for in rows_of(file, "usage")]
    except OSError as error:
        raise UsageError(f"{table}: the table cannot be read ({error.strerror})") from error
    except TableError as error:
        raise UsageError(f"{table}: {error}") from error
    if in_table == list(usages):
        return
    pairs = enumerate(zip(in_table, usages, strict=False), 2)
    line = next((number for number, (here, there) in pairs if here != there), min(len(in_table), len(usages)) + 2)
    raise UsageError(
        f"{table}:{line}: from here on the rows do not match those of {votes} ({len(in_table):,} and {len(usages):,} "
        f"rows): use a fer2013.csv and a fer2013new.csv that belong together"
    )


def read_label_arrays(
    name: str,
    root: Path,
    annotations: Path,
    images: str,
    classes: Sequence[str],
    own_labels: Mapping[str, str],
    left_out: Mapping[str, str],
) -> Manifest:
    """AffectNet: `<annotations>/<stem>_exp.npy` holds the number of the expression of `<root>/<images>/<stem>.*`.

    Numbers in `left_out` are not samples of this data set. Arrays are never unpickled. Raises UsageError for a file
    that does not hold a single number, and for a number that is not one of the data set's own.
    """
    suffix_of = {PurePosixPath(image).stem: PurePosixPath(image).suffix for image in frames_in(root, images)[0]}
    stems = [file.removesuffix(_ARRAY_SUFFIX) for file in files_in(annotations) if file.endswith(_ARRAY_SUFFIX)]
    samples: list[Sample] = []
    other: dict[str, list[str]] = {}
    for stem in stems:
        path = annotations / f"{stem}{_ARRAY_SUFFIX}"
        number = _number_in(path)
        if number in left_out:
            other.setdefault(left_out[number], []).append(stem)
        elif number in own_labels:
            source = f"{images}/{stem}{suffix_of.get(stem, '.jpg')}"
            samples.append(Sample(source, source, CLASSES.index(own_labels[number])))
        else:
            own = ", ".join(f"{number} ({name})" for number, name in {**own_labels, **left_out}.items())
            raise UsageError(f"{path}: expression {number} is not one of the data set's own: {own}")
    remarks = [
        text
        for what, of_it in other.items()
        for text in remark(of_it, f"image of {what} was left out", f"images of {what} were left out")
    ]
    bare = sorted(suffix_of.keys() - stems)
    remarks += remark(bare, "image has no annotation and was left out", "images have no annotation and were left out")
    return image_manifest(name, classes, samples, root, remarks=remarks)


def _number_in(path: Path) -> str:
    """The one number that an array file holds, as an integer or as text."""
    try:
        with path.open("rb") as file:
            if path.stat().st_size > _ARRAY_BYTES:
                raise ValueError("it is too long for one number")
            array = np.lib.format.read_array(file, allow_pickle=False)
        if array.size != 1:
            raise ValueError(f"it holds {array.size} values")
        return str(int(array.item()))
    except (OSError, ValueError, TypeError, MemoryError, EOFError) as error:
        raise UsageError(f"{path}: not an array of one number ({error}): restore it from the data set") from error
