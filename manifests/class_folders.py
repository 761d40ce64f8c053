"""Which folders are the classes of a data set, and what their names mean."""

from collections.abc import Collection, Sequence
from pathlib import Path

from ..errors import UsageError
from .classes import (
    CLASSES,
    class_index,
    class_names,
    class_set,
    is_number,
    nearest_class,
    order_of,
    refuse_unreadable,
    said_order,
)
from .disk import files_in, folders_in, is_image_name, is_video_name
from .reading import Reading
from .remarks import count_of, remark

_SPLITS = ("train", "training", "test", "testing", "val", "valid", "validation", "dev")
"""Folders with these names hold parts of a data set; no class has such a name."""


def looks_like_image_folder(root: Path, numbers: int = 0) -> bool:
    """True where folders below the root are classes.

    Either one is named after a common class, or all are class numbers, of which there may be `numbers` if the user
    names them; or there are several with names of their own, which hold all pictures.
    """
    folders = folders_in(root)
    are_numbers = [_is_below(folder, numbers or len(CLASSES)) for folder in folders if folder.isdigit()]
    words = [class_index(folder) is not None for folder in folders if not folder.isdigit()]
    return any(words) or (all(are_numbers) if are_numbers and not words else _are_own_classes(root, folders))


def _is_below(folder: str, count: int) -> bool:
    return is_number(folder) and int(folder) < count


def _are_own_classes(root: Path, folders: Sequence[str]) -> bool:
    may_be = len(folders) > 1 and not any(name.isdigit() or name.lower() in _SPLITS for name in folders)
    return may_be and not _holds_pictures(root) and all(_holds_pictures(root / name) for name in folders)


def _holds_pictures(folder: Path) -> bool:
    return any(is_image_name(name) or is_video_name(name) for name in files_in(folder))


def class_folders(
    name: str, place: Path, classes: Sequence[str] | None, left_out: Collection[str], reading: Reading
) -> tuple[dict[str, int], Sequence[str], list[str], Sequence[str]]:
    """The label of each class folder, the classes, remarks about them, and what numbers were said to mean.

    Raises UsageError where there are none, and for one that names no class of the data set.
    """
    folders = folders_in(place)
    if not folders:
        raise UsageError(f"{place}: there are no class folders: make one per class ({', '.join(classes or CLASSES)})")
    for folder in folders:
        refuse_unreadable(folder, str(place))
    numbers = [folder for folder in folders if folder.isdigit()]
    order = order_of(numbers, reading.numbers)
    _refuse_own_numbers(numbers, place, order)
    meaning = class_names(folders, classes, order)
    names = {folder: named for folder, named in meaning.of.items() if named not in left_out}
    remarks = [
        *remark(
            [folder for folder in folders if folder not in names],
            f"class folder is none of {name} and was left out",
            f"class folders are none of {name} and were left out",
        ),
        *meaning.remarks,
        *said_order(order),
    ]
    if classes is None:
        classes = class_set({*names.values(), *(order if order != CLASSES else ())})
    index_of = {named: index for index, named in enumerate(classes)}
    for folder, named in names.items():
        if named not in index_of:
            has = count_of(len(classes), "class", "classes")
            raise UsageError(f"{place / folder}: {name} has {has} and {_not_one(named, classes)}")
    if numbers and not order:
        remarks.append(
            f"class folders by number were read in the order {', '.join(classes)}: if they were numbered "
            f"alphabetically, or by the data set's own numbers, every label is wrong; names cannot be mistaken"
        )
    return {folder: index_of[named] for folder, named in names.items()}, classes, remarks, order


def _not_one(named: str, classes: Sequence[str]) -> str:
    close = nearest_class(named)
    meant = f"did you mean {close}? R" if close in classes else "r"
    return f"{named} is not one of them: {meant}emove the folder, or rename it to one of {', '.join(classes)}"


def _refuse_own_numbers(numbers: Sequence[str], place: Path, order: Sequence[str]) -> None:
    """`order` are the classes that the user says they stand for."""
    count = len(order or CLASSES)
    if no_index := [number for number in numbers if not _is_below(number, count)]:
        raise UsageError(
            f"{place / no_index[0]}: not a class index 0 … {count - 1}: rename the folder to a class name"
        )
    if numbers and "0" not in numbers and not order:
        raise UsageError(
            f"{place}: class folders by number count from 0 in the order {', '.join(CLASSES)}; these start at "
            f"{min(numbers, key=int)} and look like a data set's own numbers: rename them to class names"
        )
