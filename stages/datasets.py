"""`expclip datasets`: what there is, and what is wrong with a copy of it."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from rich.progress import Progress

from ..encoders.images import ImageError, read_image
from ..manifests.catalogue import Split
from ..manifests.classes import CLASSES, class_index
from ..manifests.manifest import NO_FOLD, NO_LABEL, NOT_ON_DISK, Manifest
from .workspace import Workspace


@dataclass(frozen=True)
class Audit:
    """What is known of a copy of a data set. Errors make rows fail; remarks are worth a look."""

    name: str
    samples: int
    rows: int
    counts: dict[str, int]
    """Samples a class, "unlabelled" among them."""
    errors: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def audit(workspace: Workspace, dataset: str) -> Audit:
    """Read every file of a data set, all frames of its clips too, and say what is wrong with it.

    Missing, unreadable and duplicate files, frame counts against the list, counts against the published ones. Raises
    UsageError for labels outside the classes, folders that name no class and broken lines of a list.
    """
    ref = workspace.dataset(dataset)
    manifest = workspace.read(ref, "all")
    contents, failed = _read_all(workspace, manifest)
    names = (*manifest.classes, "unlabelled")
    counts = Counter(names[label] if label != NO_LABEL else "unlabelled" for label in manifest.labels.tolist())
    remarks = [
        *manifest.remarks,
        *_labels_against_folders(manifest),
        *_duplicate_ids(manifest),
        *_duplicate_contents(manifest, contents),
        *(_against_published(ref.published, manifest, counts) if ref.published else ()),
    ]
    return Audit(
        name=ref.name,
        samples=len(manifest),
        rows=len(manifest.rows),
        counts={name: counts[name] for name in names if counts[name] or name != "unlabelled"},
        errors=list(_errors(manifest, failed)),
        remarks=remarks,
    )


def _read_all(workspace: Workspace, manifest: Manifest) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Sources by digest of their bytes, and by source what is wrong with those that cannot be read."""
    sources = manifest.rows.sources
    contents: dict[str, list[str]] = defaultdict(list)
    failed: dict[str, str] = {}
    with (
        Progress(console=workspace.console, transient=True, disable=not workspace.console.is_terminal) as bars,
        ThreadPoolExecutor(workspace.workers) as pool,
    ):
        checks = pool.map(lambda source: _check(Path(manifest.root) / source), sources)
        for source, (sha, why) in bars.track(zip(sources, checks, strict=True), len(sources), description="reading"):
            if why:
                failed[source] = why
            else:
                contents[sha].append(source)
    return contents, failed


def _check(path: Path) -> tuple[str, str]:
    """(SHA-256, "") of an image file, or ("", what is wrong)."""
    try:
        read_image(path)
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest(), ""
    except (ImageError, OSError) as error:
        return "", str(error)


def _errors(manifest: Manifest, failed: dict[str, str]) -> Iterator[str]:
    """What is wrong, one line a file; frames that a clip lacks are one line a clip."""
    sizes = dict(zip(manifest.rows.sources, manifest.rows.sizes.tolist(), strict=True))
    lacking = Counter(
        source.rpartition("/")[0] for source in failed if manifest.kind == "clips" and sizes[source] == NOT_ON_DISK
    )
    for folder, count in lacking.items():
        yield f"{folder}: {count} of the frames that the list promises are missing"
    for source, why in failed.items():
        if manifest.kind != "clips" or sizes[source] != NOT_ON_DISK:
            yield f"{source}: {why}"


def _labels_against_folders(manifest: Manifest) -> Iterator[str]:
    """Samples in a folder that is named after another class than their label, as wrong numbering leaves them."""
    of_folder: dict[str, set[str]] = {}
    odd = []
    for sample, label in zip(manifest.sample_ids, manifest.labels.tolist(), strict=True):
        folder = sample.rpartition("/")[0]
        if folder not in of_folder:
            indices = (class_index(part) for part in folder.split("/") if not part.isdigit())
            of_folder[folder] = {CLASSES[index] for index in indices if index is not None}
        named = of_folder[folder]
        if label != NO_LABEL and named and manifest.classes[label] not in named:
            odd.append(f"{sample} is labelled {manifest.classes[label]}")
    if odd:
        yield f"{len(odd):,} labels are not the class after which a folder is named (first: {odd[0]})"


def _duplicate_ids(manifest: Manifest) -> Iterator[str]:
    """Samples that occur twice in one fold, or with two labels."""
    seen: dict[str, set[tuple[int, int]]] = defaultdict(set)
    times: Counter[str] = Counter()
    for sample, fold, label in zip(
        manifest.sample_ids, manifest.folds.tolist(), manifest.labels.tolist(), strict=True
    ):
        seen[sample].add((fold, label))
        times[sample] += 1
    for sample, occurrences in seen.items():
        if len({label for _, label in occurrences}) > 1:
            yield f"{sample}: listed with different labels"
        if len({fold for fold, _ in occurrences}) > 1:
            yield f"{sample}: in more than one fold"
        elif times[sample] > 1:
            yield f"{sample}: listed {times[sample]} times"


def _duplicate_contents(manifest: Manifest, contents: dict[str, list[str]]) -> Iterator[str]:
    """Files of the same bytes; of clips only those of different clips, since still moments repeat frames."""
    for sources in contents.values():
        places = {str(Path(s).parent) for s in sources} if manifest.kind == "clips" else set(sources)
        if len(places) > 1:
            yield (
                f"{len(places)} {'clips share a frame' if manifest.kind == 'clips' else 'files are the same'}: "
                + (", ".join(sorted(places)[:3]) + (" …" if len(places) > 3 else ""))
            )


def _against_published(published: Split, manifest: Manifest, counts: Counter[str]) -> Iterator[str]:
    if published.expected and len(manifest) != published.expected:
        yield f"{len(manifest):,} samples, {published.expected:,} are published"
    for name, expected in published.counts.items():
        if counts[name] != expected:
            yield f"{name}: {counts[name]:,} samples, {expected:,} are published"
    folds = Counter(fold for fold in manifest.folds.tolist() if fold != NO_FOLD)
    for fold, expected in enumerate(published.folds, 1):
        if folds and folds[fold] != expected:
            yield f"fold {fold}: {folds[fold]:,} samples, {expected:,} are published"
