"""From list files to manifests: lines `path n_frames label`, or the `name label` of the data sets themselves.

Nothing that a list names may lie outside the root. Forms that a single data set uses are in `annotations.py`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError, option
from .classes import CLASSES, class_index, smallest_class_set
from .disk import is_image_name, kind_of
from .frames import DEFAULT_POLICIES
from .manifest import NO_LABEL, Manifest, Sample, image_manifest
from .readers import clips_on_disk, frame_count

MAX_FRAMES = 1_000_000
"""More frames than any clip has; a list that says more is wrong."""
_HEAD_BYTES = 65536


@dataclass(frozen=True)
class ListForm:
    """How the lines of a data set's list files are to be read."""

    labels: Mapping[str, str] | None = None
    """Class names by the data set's own label numbers or lower-case words; None where labels are class names or
    common indices."""
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
    policies: Iterable[str] = DEFAULT_POLICIES,
) -> Manifest:
    """Samples of one or more (list file, fold) pairs with lines `path n_frames label`.

    Lines are parsed from the right, so that paths may hold spaces. The number of frames comes from the list: fewer
    files on disk are rows that fail, more are a remark. Labels are ignored where there are no classes; where
    `classes` is None they are the smallest set that holds all labels. Raises UsageError with file and line for what
    cannot be read, and where nothing that the lists name is on disk.
    """
    form = form or ListForm()
    samples = [sample for path, fold in lists for sample in _read_list(path, fold, form, classes)]
    if classes is None:
        classes = smallest_class_set([sample.label for sample in samples])
    images = [sample.source for sample in samples if is_image_name(sample.source)]
    clips = [sample.source for sample in samples if not is_image_name(sample.source)]
    if images and clips:
        raise UsageError(
            f"{lists[0][0]}: images and clip folders are mixed ({images[0]}, {clips[0]}): make one list for each"
        )
    if images:
        return image_manifest(name, classes, samples, root)
    return clips_on_disk(name, classes, samples, root, policies)


def _read_list(path: Path, fold: int, form: ListForm, classes: Sequence[str] | None) -> Iterator[Sample]:
    for where, line in lines_of(path, form.header):
        parts = line.rsplit(form.separator, maxsplit=2)
        if len(parts) != 3 or not (parts[1].isascii() and parts[1].isdigit()):
            raise UsageError(f"{where}: expected `path n_frames label`, found {line!r}")
        source = below_root(_below(parts[0], form, where), where)
        label = NO_LABEL if classes == () else _label(parts[2], form, classes, where)
        yield Sample(source, source, label, fold, _listed_frames(parts[1], source, where))


def read_name_label_list(
    name: str,
    root: Path,
    lists: Sequence[tuple[Path, int]],
    classes: Sequence[str],
    source_of: Callable[[str], str | None],
    form: ListForm,
    policies: Iterable[str] | None = None,
) -> Manifest:
    """Samples from lines `name label`, the form in which RAF-DB and DFEW are distributed.

    `source_of(name)` is the path below the root, None for a sample of another split. With frame policies the samples
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
                label = _label(parts[1].strip(), form, classes, where)
                n_frames = 1 if policies is None else frame_count(root, source)
                samples.append(Sample(source, source, label, fold, n_frames))
    if policies is None:
        return image_manifest(name, classes, samples, root)
    return clips_on_disk(name, classes, samples, root, policies)


def _listed_frames(digits: str, source: str, where: str) -> int:
    count = int(digits) if len(digits) <= len(str(MAX_FRAMES)) else MAX_FRAMES + 1
    if not 1 <= count <= MAX_FRAMES:
        raise UsageError(f"{where}: a clip has 1 to {MAX_FRAMES:,} frames, found {digits[:20]}: correct the line")
    if count > 1 and is_image_name(source):
        raise UsageError(f"{where}: an image has 1 frame, found {digits}: correct the line, or name a clip's folder")
    return count


def _below(path: str, form: ListForm, where: str) -> str:
    """The path below the root of a path in a list, which may come from another machine."""
    path = path.replace("\\", "/")
    if form.after:
        _, found, path = path.rpartition(form.after)
        if not found:
            raise UsageError(f"{where}: the path lacks {form.after!r}: is this the list of another data set?")
    return f"{form.below}/{path}" if form.below and not path.startswith("/") else path


def below_root(path: str, where: str, root: str = f"the list's folder or to {option('root')}") -> str:
    """A relative path without empty parts. Raises UsageError where it may lead out of the root."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or path.startswith("/") or ".." in parts or "\0" in path or path[1:2] == ":":
        raise UsageError(f"{where}: {path!r} does not lie below the root: make it relative to {root}, without `..`")
    return "/".join(parts)


def _label(word: str, form: ListForm, classes: Sequence[str] | None, where: str) -> int:
    if form.labels is not None:
        name = form.labels.get(word.lower())
        if name is None:
            own = ", ".join(f"{number} ({name})" for number, name in form.labels.items())
            raise UsageError(f"{where}: label {word!r} is not one of the data set's own: write {own}")
        return CLASSES.index(name)
    label = NO_LABEL if word == "-1" else class_index(word)
    classes = classes or CLASSES
    if label is None or label >= len(classes):
        raise UsageError(
            f"{where}: label {word!r} is not a class: write a name ({', '.join(classes)}), "
            f"an index 0 … {len(classes) - 1}, or -1 for none"
        )
    return label


def lines_of(path: Path, header: str = "") -> Iterator[tuple[str, str]]:
    """The non-empty lines of a list file, each with its place; file names may hold any bytes."""
    if kind_of(path) != "file":
        raise UsageError(f"{path}: the list file is missing or not an ordinary file: put the list there")
    try:
        with path.open("rb") as file:
            is_text = b"\0" not in file.read(_HEAD_BYTES)
        text = path.read_text(encoding="utf-8-sig", errors="surrogateescape") if is_text else "\0"
    except OSError as error:
        raise UsageError(f"{path}: the list file cannot be read ({error.strerror})") from error
    if "\0" in text:
        raise UsageError(f"{path}: not a list file (it holds zero bytes): give a folder, or a list in UTF-8")
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip() and not (number == 1 and line.strip() == header):
            yield f"{path}:{number}", line.strip()
