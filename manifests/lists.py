"""From list files to manifests: `path n_frames label`, `path label`, tables, and the data sets' own `name label`.

Nothing that a list names may lie outside the root. Forms that a single data set uses are in `annotations.py`.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import UsageError
from .animations import as_clip, is_animated, may_be_animated
from .classes import (
    CLASSES,
    class_names,
    class_set,
    is_number,
    nearest_class,
    order_of,
    refuse_unreadable,
    said_order,
)
from .clips import clips_on_disk, frame_count
from .disk import is_image_name
from .list_lines import Entry, entries_of, lines_of
from .list_paths import below_root, sources_of
from .manifest import NO_LABEL, Manifest, Sample, image_manifest
from .reading import AS_IT_IS, Reading

MAX_FRAMES = 1_000_000
"""More frames than any clip has; a list that says more is wrong."""
_NO_CLASS = "-1"


@dataclass(frozen=True)
class ListForm:
    """How the lines of a data set's list files are to be read."""

    labels: Mapping[str, str] = field(default_factory=dict)
    """Name-label lists: class names by the data set's own label numbers or lower-case words."""
    after: str = ""
    """What precedes the relevant part of each path, such as "DFEW_Frame_Face/"."""
    below: str = ""
    """Folder below the root that holds this part."""
    separator: str | None = None
    """What separates the fields of a line; None is white space."""
    header: str = ""
    """A first line that is not a sample."""


def read_list_files(
    name: str,
    root: Path,
    lists: Sequence[tuple[Path, int]],
    classes: Sequence[str] | None = None,
    form: ListForm | None = None,
    reading: Reading = AS_IT_IS,
) -> Manifest:
    """Samples of one or more (list file, fold) pairs: lines `path n_frames label` or `path label`, or a table.

    The number of frames comes from the list: fewer files on disk are rows that fail, and both fewer and more are a
    remark. Lists that do not say it have as many as are on disk. Labels are ignored where there are no classes; where
    `classes` is None they are those that the labels name. Raises UsageError with file and line for what cannot be
    read, and where nothing that the lists name is on disk.
    """
    form = form or ListForm()
    entries: list[Entry] = []
    sources: list[str] = []
    folds: list[int] = []
    for path, fold in lists:
        found = list(entries_of(path))
        entries += found
        sources += sources_of(found, root, form.after, form.below)
        folds += [fold or entry.fold for entry in found]
    label_of, classes, remarks, order = _labels(entries, classes, reading)
    sources = _with_picture_clips(entries, sources, root)
    samples = [
        Sample(source.rstrip("/"), source, label_of[entry.label], fold, _n_frames(entry, source, root, reading))
        for entry, source, fold in zip(entries, sources, folds, strict=True)
    ]
    images = [source for source in sources if is_image_name(source)]
    clips = [source for source in sources if not is_image_name(source)]
    if images and clips:
        raise UsageError(
            f"{lists[0][0]}: images and clip folders are mixed ({images[0]}, {clips[0]}): make one list for each"
        )
    if images:
        return image_manifest(name, classes, samples, root, remarks=remarks, numbers=order)
    return clips_on_disk(name, classes, samples, root, reading, remarks, order)


def _with_picture_clips(entries: Sequence[Entry], sources: Sequence[str], root: Path) -> list[str]:
    """The sources, of which picture files are clips where the list is one of clips.

    It is where it names folders or videos too, or says that some file has several frames.
    """
    says_more = any(entry.n_frames not in (None, "1") for entry in entries)
    if not says_more and all(map(is_image_name, sources)):
        return list(sources)
    animated = {one: is_animated(root / one) for one in dict.fromkeys(sources) if may_be_animated(one)}
    if animated and all(map(is_image_name, sources)) and any(animated.values()):
        animated = dict.fromkeys(animated, True)  # a still one among them is a clip of one frame
    return [as_clip(source) if animated.get(source) else source for source in sources]


def _labels(
    entries: Sequence[Entry], classes: Sequence[str] | None, reading: Reading
) -> tuple[dict[str, int], Sequence[str], Sequence[str], Sequence[str]]:
    """The label of each word, the classes, remarks, and what numbers were said to mean.

    The numbers of a data set of the catalogue are the common ones.
    """
    if classes is not None and not classes:
        return dict.fromkeys((entry.label for entry in entries), NO_LABEL), classes, (), ()
    where = {entry.label: entry.where for entry in reversed(entries) if entry.label != _NO_CLASS}
    for word, place in where.items():
        refuse_unreadable(word, place)
    numbers = [word for word in where if word.lstrip("+-").isdigit()]
    order = order_of(numbers, reading.numbers) if classes is None else ()
    known = classes or order or CLASSES
    for word in numbers:
        if not is_number(word) or int(word) >= len(known):
            raise UsageError(f"{where[word]}: {_no_label(word, known)}")
    meaning = class_names(where, classes, order)
    if classes is None:
        classes = class_set({*meaning.of.values(), *(order if order != CLASSES else ())})
    index_of = {name: index for index, name in enumerate(classes)}
    for word, name in meaning.of.items():
        if name not in index_of:
            raise UsageError(f"{where[word]}: {_no_label(word, classes)}")
    label_of = {word: index_of[name] for word, name in meaning.of.items()}
    return label_of | {_NO_CLASS: NO_LABEL}, classes, (*meaning.remarks, *said_order(order)), order


def _no_label(word: str, classes: Sequence[str]) -> str:
    close = nearest_class(word)
    meant = f"did you mean {close}? W" if close in classes else "w"
    return (
        f"label {word!r} is not a class: {meant}rite a name ({', '.join(classes)}), "
        f"an index 0 … {len(classes) - 1}, or -1 for none"
    )


def read_name_label_list(
    name: str,
    root: Path,
    lists: Sequence[tuple[Path, int]],
    classes: Sequence[str],
    source_of: Callable[[str], str | None],
    form: ListForm,
    reading: Reading | None = None,
) -> Manifest:
    """Samples from lines `name label`, the form in which RAF-DB and DFEW are distributed.

    `source_of(name)` is the path below the root, None for a sample of another split. With a `reading` the samples
    are clips with as many frames as are on disk. Raises UsageError as `read_list_files` does.
    """
    samples = []
    for path, fold in lists:
        for where, line in lines_of(path, form.header):
            parts = line.rsplit(form.separator, maxsplit=1)
            if len(parts) != 2:
                raise UsageError(f"{where}: expected `name{form.separator or ' '}label`, found {line!r}")
            source = source_of(parts[0].strip())
            if source is not None:
                source = below_root(source, where)
                label = _own_label(parts[1].strip(), form, where)
                n_frames = 1 if reading is None else frame_count(root, source, reading.count)
                samples.append(Sample(source, source, label, fold, n_frames))
    if reading is None:
        return image_manifest(name, classes, samples, root)
    return clips_on_disk(name, classes, samples, root, reading)


def _n_frames(entry: Entry, source: str, root: Path, reading: Reading) -> int:
    where, digits = entry.where, entry.n_frames
    if digits is None:
        return 1 if is_image_name(source) else frame_count(root, source, reading.count)
    if not (digits.isascii() and digits.isdigit()):
        raise UsageError(f"{where}: expected a number of frames, found {digits!r}: correct it, or leave it empty")
    count = int(digits) if len(digits) <= len(str(MAX_FRAMES)) else MAX_FRAMES + 1
    if not 1 <= count <= MAX_FRAMES:
        raise UsageError(f"{where}: a clip has 1 to {MAX_FRAMES:,} frames, found {digits[:20]}: correct the line")
    if count > 1 and is_image_name(source):
        raise UsageError(f"{where}: an image has 1 frame, found {digits}: correct the line, or name a clip's folder")
    return count


def _own_label(word: str, form: ListForm, where: str) -> int:
    name = form.labels.get(word.lower())
    if name is None:
        close = difflib.get_close_matches(word.lower(), form.labels, n=1)
        meant = f"did you mean {close[0]}? W" if close else "w"
        own = ", ".join(f"{number} ({name})" for number, name in form.labels.items())
        raise UsageError(f"{where}: label {word!r} is not one of the data set's own: {meant}rite {own}")
    return CLASSES.index(name)
