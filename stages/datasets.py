"""`expclip datasets`: what there is, and what is wrong with a copy of it."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..commands.datasets import Audit, AuditDatasets, ListDatasets
from ..encoders.picture_errors import ImageError
from ..errors import UsageError
from ..manifests.animations import is_animated, is_picture_clip, only_first_frames
from ..manifests.catalogue import DataSet, DataSetRef, Split, catalogue
from ..manifests.chosen import with_classes
from ..manifests.classes import CLASSES, class_name
from ..manifests.clips import frame_count
from ..manifests.disk import holds_many, is_video_name
from ..manifests.manifest import NO_FOLD, NO_LABEL, NOT_ON_DISK, Manifest
from ..manifests.remarks import count_of, remark
from ..pipeline.apart import Crew, Died, processes
from ..pipeline.checks import refuse_unknown_datasets
from ..pipeline.workspace import Workspace

_MOST_DIFFERENCE = 0.1
"""Counts tell an order of the classes where they miss the published ones by less than this part of all samples."""


def list_datasets(request: ListDatasets) -> list[tuple[str, DataSet]]:
    """The data sets that have a name, each with it."""
    return list(catalogue().items())


def audit_datasets(request: AuditDatasets) -> list[Audit]:
    """What is known of copies of data sets."""
    workspace = Workspace.of(request, request.datasets)
    refuse_unknown_datasets(workspace, request, request.datasets)
    return [audit(workspace, dataset, request.workers) for dataset in workspace.distinct(request.datasets)]


def audit(workspace: Workspace, dataset: str, workers: int | None = None) -> Audit:
    """Read every file of a data set, all frames of its clips too, and say what is wrong with it.

    Missing, unreadable and duplicate files, frame counts against the list, counts against the published ones and
    what they tell of the numbering of the classes, folds that overlap, train samples that are test samples too.
    Raises UsageError for labels outside the classes, folders that name no class and broken lines of a list.
    """
    known = workspace.dataset(dataset)
    ref, manifest = known.ref, with_classes(workspace.read(known, "all"), workspace.chosen)
    read = _read_all(workspace, manifest, workers)
    names = (*manifest.classes, "unlabelled")
    counts = Counter(names[label] if label != NO_LABEL else "unlabelled" for label in manifest.labels.tolist())
    remarks = [
        *manifest.remarks,
        *_labels_against_folders(manifest),
        *_duplicate_ids(manifest, is_train=ref.split == "train"),
        *_duplicate_contents(manifest, read.contents),
        *_longer_videos(workspace, manifest),
        *only_first_frames(read.animated if manifest.kind == "images" else ()),
    ]
    if ref.entry and ref.published:
        remarks += [
            *_against_published(ref.published, manifest, counts),
            *_other_numbering(ref.entry, ref.published, counts),
            *_train_in_test(workspace, ref, manifest),
        ]
    return Audit(
        name=known.label,
        samples=len(manifest),
        rows=len(manifest.rows),
        counts={name: counts[name] for name in names if counts[name] or name != "unlabelled"},
        errors=list(_errors(manifest, read.failed)),
        remarks=remarks,
    )


@dataclass
class _Read:
    """What is in the files of a data set."""

    contents: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """Rows by digest of what they hold."""
    failed: dict[int, str] = field(default_factory=dict)
    """By row what is wrong with those that cannot be read."""
    animated: list[str] = field(default_factory=list)
    """Sources of which only the first of several pictures is read."""


def _read_all(workspace: Workspace, manifest: Manifest, workers: int | None) -> _Read:
    files: dict[str, dict[int, int]] = defaultdict(dict)
    for row, (source, frame) in enumerate(zip(manifest.rows.sources, manifest.rows.frames.tolist(), strict=True)):
        files[source][frame] = row
    read = _Read()
    root, limit = Path(manifest.root), workspace.options.max_pixels
    calls = ((root / source, row_of, limit, is_picture_clip(source)) for source, row_of in files.items())
    with workspace.progress("reading", "files") as show, Crew(_check, processes(workers)) as crew:
        checks = zip(files.items(), crew.map(calls), strict=True)
        for done, ((source, row_of), found) in enumerate(checks, 1):
            show(done, len(files))
            if isinstance(found, Died):
                found = dict.fromkeys(row_of.values(), ("", found.of("decoding"))), False
            by_row, is_first_frame = found
            read.animated += [source] if is_first_frame else []
            for row, (sha, why) in by_row.items():
                if why:
                    read.failed[row] = why
                else:
                    read.contents[sha].append(row)
    return read


def _check(
    path: Path, row_of: Mapping[int, int], limit: int, is_clip: bool
) -> tuple[dict[int, tuple[str, str]], bool]:
    """By row (SHA-256, "") of what it holds, or ("", what is wrong); and whether the file holds more pictures."""
    from ..encoders.pictures import read_pictures

    found = {}
    for frame, picture in read_pictures(path, list(row_of), max_pixels=limit, is_clip=is_clip):
        if isinstance(picture, ImageError):
            found[row_of[frame]] = ("", str(picture))
        elif holds_many(path.name):
            found[row_of[frame]] = (hashlib.sha256(picture.tobytes()).hexdigest(), "")
        else:
            found[row_of[frame]] = _digest(path)
    return found, not is_clip and is_animated(path)


def _digest(path: Path) -> tuple[str, str]:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest(), ""
    except OSError as error:
        return "", str(error)


def _place(manifest: Manifest, row: int) -> str:
    """The clip of a row, or the picture itself."""
    if manifest.kind != "clips":
        return manifest.rows.names[row]
    source = manifest.rows.sources[row]
    return source if holds_many(source) else source.rpartition("/")[0]


def _errors(manifest: Manifest, failed: Mapping[int, str]) -> Iterator[str]:
    """What is wrong, one line per file; frames that a clip lacks are one line per clip."""
    lacking: Counter[str] = Counter()
    of_videos: Counter[str] = Counter()
    others = []
    for row, why in failed.items():
        if manifest.kind == "clips" and holds_many(manifest.rows.sources[row]):
            of_videos[f"{manifest.rows.sources[row]}: {why}"] += 1
        elif manifest.kind == "clips" and manifest.rows.sizes[row] == NOT_ON_DISK:
            lacking[_place(manifest, row)] += 1
        else:
            others.append(f"{manifest.rows.names[row]}: {why}")
    for clip, n in lacking.items():
        yield f"{clip}: {n} of the frames that the list promises {'is' if n == 1 else 'are'} missing"
    yield from (f"{line} ({count_of(n, 'frame fails', 'frames fail')})" for line, n in of_videos.items())
    yield from others


def _labels_against_folders(manifest: Manifest) -> Iterator[str]:
    """Samples in a folder that is named after another class than their label, as wrong numbering leaves them."""
    of_folder: dict[str, set[str]] = {}
    odd = []
    for sample, label in zip(manifest.sample_ids, manifest.labels.tolist(), strict=True):
        folder = sample.rpartition("/")[0]
        if folder not in of_folder:
            words = [part.strip().lower() for part in folder.split("/") if not part.isdigit()]
            names = {word if word in manifest.classes else class_name(word) for word in words}
            of_folder[folder] = names & {*manifest.classes, *CLASSES}
        named = of_folder[folder]
        if label != NO_LABEL and named and manifest.classes[label] not in named:
            odd.append(f"{sample} is labelled {manifest.classes[label]}")
    what = "not the class after which a folder is named"
    yield from remark(odd, f"label is {what}", f"labels are {what}")


def _duplicate_ids(manifest: Manifest, is_train: bool) -> Iterator[str]:
    """Samples that occur twice in one fold, or with two labels; only the train parts of folds may overlap."""
    labels: dict[str, set[int]] = defaultdict(set)
    times: dict[str, Counter[int]] = defaultdict(Counter)
    for sample, fold, label in zip(
        manifest.sample_ids, manifest.folds.tolist(), manifest.labels.tolist(), strict=True
    ):
        labels[sample].add(label)
        times[sample][fold] += 1
    other_labels = [sample for sample, several in labels.items() if len(several) > 1]
    in_folds = {sample: None for sample, in_fold in times.items() if len(in_fold) > 1 and not is_train}
    again = [sample for sample, in_fold in times.items() if max(in_fold.values()) > 1 and sample not in in_folds]
    for found, what in (
        (other_labels, "listed with different labels"),
        (list(in_folds), "in more than one fold"),
        (again, "listed more than once"),
    ):
        yield from remark(found, f"sample is {what}", f"samples are {what}")


def _duplicate_contents(manifest: Manifest, contents: Mapping[str, list[int]]) -> Iterator[str]:
    """Pictures that are the same; of clips only those of different clips, since still moments repeat frames."""
    shared = [places for rows in contents.values() if len(places := {_place(manifest, row) for row in rows}) > 1]
    if manifest.kind != "clips":
        yield from (f"{len(places):,} files are the same: {_first_of(places)}" for places in shared)
        return
    for clips, frames in _tied_together(shared):
        yield f"{len(clips):,} clips share {count_of(frames, 'frame')}: {_first_of(clips)}"


def _first_of(places: Collection[str]) -> str:
    return ", ".join(sorted(places)[:3]) + (" …" if len(places) > 3 else "")


def _tied_together(shared: Iterable[set[str]]) -> list[tuple[set[str], int]]:
    """Groups of clips that share frames with one another, however indirectly, and how many frames, by first clip."""
    groups: list[tuple[set[str], int]] = []
    of_clip: dict[str, int] = {}
    for places in shared:
        old = {of_clip[clip] for clip in places if clip in of_clip}
        clips = places.union(*(groups[one][0] for one in old))
        of_clip |= dict.fromkeys(clips, len(groups))
        groups.append((clips, 1 + sum(groups[one][1] for one in old)))
    return sorted((groups[one] for one in set(of_clip.values())), key=lambda group: min(group[0]))


def _longer_videos(workspace: Workspace, manifest: Manifest) -> Iterator[str]:
    """Videos with more frames than the list says; those with fewer have rows that fail."""
    listed: dict[str, int] = defaultdict(int)
    for source, frame in zip(manifest.rows.sources, manifest.rows.frames.tolist(), strict=True):
        if is_video_name(source) or is_picture_clip(source):
            listed[source] = max(listed[source], frame + 1)
    with workspace.counting() as count:
        counts = {source: frame_count(Path(manifest.root), source, count) for source in listed}
    longer = [
        f"{source}: {counts[source]:,} in the video, {frames:,} in the list"
        for source, frames in listed.items()
        if counts[source] > frames
    ]
    what = "more frames than the list says"
    yield from remark(longer, f"video has {what}", f"videos have {what}")


def _against_published(published: Split, manifest: Manifest, counts: Counter[str]) -> Iterator[str]:
    if published.expected and len(manifest) != published.expected:
        known = published.known_totals.get(str(len(manifest)))
        samples = count_of(len(manifest), "sample")
        yield f"{samples}, {published.expected:,} are published{f': {known}' if known else ''}"
    for name, expected in published.counts.items():
        if counts[name] != expected:
            yield f"{name}: {count_of(counts[name], 'sample')}, {expected:,} are published"
    folds = Counter(fold for fold in manifest.folds.tolist() if fold != NO_FOLD)
    for fold, expected in enumerate(published.folds, 1):
        if folds and folds[fold] != expected:
            yield f"fold {fold}: {count_of(folds[fold], 'sample')}, {expected:,} are published"


def _other_numbering(entry: DataSet, published: Split, counts: Mapping[str, int]) -> Iterator[str]:
    """Whether the counts are those of classes that were numbered in another order than the common one."""
    classes = CLASSES[: entry.classes]
    own_numbers = tuple(name for label, name in entry.own_labels.items() if label.isdigit())
    orders = {"alphabetical": tuple(sorted(classes)), f"{entry.title}'s own": own_numbers, **entry.other_orders}
    orders = {whose: order for whose, order in orders.items() if set(order) == set(classes)}
    if not published.counts or not orders:
        return

    def distance(order: tuple[str, ...]) -> int:
        """Samples that would have to change their class if label k had meant order[k]."""
        return sum(
            abs(counts[name] - published.counts.get(meant, 0)) for name, meant in zip(classes, order, strict=True)
        )

    whose, order = min(orders.items(), key=lambda item: distance(item[1]))
    if distance(order) < distance(classes) and distance(order) <= _MOST_DIFFERENCE * published.expected:
        yield (
            f"the labels seem to be numbered in another order, {whose} ({', '.join(order)}), "
            f"but were read as {', '.join(classes)}: write class names instead of numbers"
        )


def _train_in_test(workspace: Workspace, ref: DataSetRef, manifest: Manifest) -> Iterator[str]:
    """Train samples that are test samples of the same fold, where both parts are on disk."""
    assert ref.entry is not None
    if ref.split != "train" or "test" not in ref.entry.splits:
        return
    try:
        test = workspace.read(workspace.dataset(f"{ref.root_name}:test"))
    except UsageError:
        return
    train, in_test = (set(zip(one.sample_ids, one.folds.tolist(), strict=True)) for one in (manifest, test))
    if both := train & in_test:
        sample, fold = min(both)
        fold_of = f" of fold {fold}" if fold != NO_FOLD else ""
        said = count_of(len(both), "sample is a test sample", "samples are test samples")
        yield f"{said} of the same fold too (first: {sample}{fold_of})"
