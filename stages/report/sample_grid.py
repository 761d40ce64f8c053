"""The samples of the page: what a head repaired, what it broke, and small pictures of the first of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ...cache.cache import Cache
from ...errors import ExpclipError
from ...manifests.manifest import Manifest
from ...reports.legibility import LONG, legible, legible_classes
from ...reports.page.page import Grid
from ...reports.read_scores import Written
from .browsed import BROKEN, CHANGES, REPAIRED, Browsed
from .thumbnails import thumbnails

MOST_BYTES = 6_000_000
"""Of all small pictures together, as base64."""
_GONE = "gone"
_COLUMNS = ("picture", "evaluation", "data set", "sample", "true", "without a head", "with the head", "change")
_RIGHT = "right, % of rows"
_NONE = (
    "No samples are known: they need predictions as Parquet, the usual of `expclip evaluate`, of a backbone as it is "
    "and of a head."
)


@dataclass(frozen=True, eq=False)
class Samples:
    """What the page shows of samples, and what it says of that."""

    grid: Grid | None
    notes: Sequence[str]
    pictures: int = 0


def sample_grid(evaluations: Iterable[Written], browsed: Sequence[Browsed], cache: Cache, most: int) -> Samples:
    """A row for each sample of every data set, those that changed first, up to `most` of them with pictures."""
    if not browsed:
        return Samples(None, [_NONE])
    folders = {known.dataset: known for one in evaluations for known in one.features}
    rows: list[list] = []
    notes: list[str] = []
    jpegs: list[str] = []
    unknown: list[str] = []
    for place, one in enumerate(browsed):
        order = np.argsort(one.changes, kind="stable")
        share = (most - len(jpegs)) // (len(browsed) - place)
        room = (MOST_BYTES - sum(map(len, jpegs))) // (len(browsed) - place)
        known = folders.get(one.group.dataset)
        manifest = _manifest(cache, known.folder, known.rows_digest) if known and share else None
        cells = _pictures(one, manifest, share, room, jpegs) if manifest else {}
        notes.append(_note(one))
        unknown += [one.group.dataset] if share and not manifest else []
        rows += _rows(one, order.tolist(), cells)
    several = len({one.group.evaluation for one in browsed}) > 1
    left_out = {"picture"} if all(row[0] is None for row in rows) else set()
    left_out |= set() if several else {"evaluation"}
    columns = [*_COLUMNS, _RIGHT]
    kept = [place for place, name in enumerate(columns) if name not in left_out]
    grid = Grid(
        [columns[place] for place in kept],
        [[row[place] for place in kept] for row in rows],
        filters=[name for name in ("evaluation", "data set", "change", "true") if name not in left_out],
        unsorted=["picture"],
        digits={_RIGHT: 0},
        pictures=jpegs,
    )
    return Samples(grid, [*notes, *_no_pictures(cache, unknown)], len(jpegs))


def _manifest(cache: Cache, folder: str, rows_digest: str) -> Manifest | None:
    """The data set as the cache has it; None where it has not that one."""
    try:
        return cache.manifest_of(folder, rows_digest)
    except ExpclipError:  # damaged: the scores are shown all the same
        return None


def _no_pictures(cache: Cache, datasets: Sequence[str]) -> list[str]:
    """Of which data sets there are no pictures, and why."""
    names = ", ".join(dict.fromkeys(map(legible, datasets)))
    return [f"No pictures of {names}: the cache {cache.root} does not know where they are."] if names else []


def _pictures(one: Browsed, manifest: Manifest, most: int, room: int, jpegs: list[str]) -> dict[int, int | str]:
    """What the picture cell of some samples holds, by their places; the pictures are added to `jpegs`."""
    numbers = {name: number for number, name in enumerate(manifest.sample_ids)}
    chosen = [place for place in _chosen(one.changes, most) if one.ids[place] in numbers]
    samples = np.array([numbers[one.ids[place]] for place in chosen], dtype=np.int64)
    cells: dict[int, int | str] = {}
    try:
        for place, jpeg in zip(chosen, thumbnails(manifest, one.head.of.frames or "image", samples), strict=True):
            room -= len(jpeg or "")
            if room < 0:
                break
            cells[place] = _GONE if jpeg is None else len(jpegs)
            jpegs += [jpeg] if jpeg else []
    except ExpclipError:  # the cache knows other frames of its clips by now
        return cells
    return cells


def _chosen(changes: np.ndarray, most: int) -> list[int]:
    """The samples that are shown with a picture, as many repaired as broken ones while there are."""
    turn = np.empty(len(changes))
    for change in (CHANGES.index(REPAIRED), CHANGES.index(BROKEN)):
        here = np.flatnonzero(changes == change)
        turn[here] = np.arange(len(here)) + change / 2
    changed = np.flatnonzero(np.isin(changes, (CHANGES.index(REPAIRED), CHANGES.index(BROKEN))))
    return changed[np.argsort(turn[changed])][:most].tolist()


def _rows(one: Browsed, order: Sequence[int], pictures: dict[int, int | str]) -> list[list]:
    """Those with a picture first."""
    classes = legible_classes(one.classes)
    names = (legible(one.group.evaluation, LONG), legible(one.group.dataset, LONG))
    changes = [CHANGES[change] for change in one.changes.tolist()]
    truth, was, now = (one.truth.tolist(), one.was.tolist(), one.now.tolist())
    right = np.rint(100 * one.right / one.combinations).astype(int).tolist()
    return [
        [
            pictures.get(k),
            *names,
            legible(one.ids[k], LONG),
            *(classes[of[k]] for of in (truth, was, now)),
            changes[k],
            right[k],
        ]
        for k in sorted(order, key=lambda k: k not in pictures)
    ]


def _note(one: Browsed) -> str:
    """What is compared on a data set, and what came of it."""
    counts = [int((one.changes == place).sum()) for place in range(len(CHANGES))]
    of, over = one.head.of, one.over.of
    where = " · ".join(legible(name) for name in (one.group.evaluation, of.dataset, of.backbone) if name)
    found = ", ".join(f"{count:,} {name}" for count, name in zip(counts, CHANGES, strict=True))
    return (
        f"{where}: {legible(of.seed_label, LONG)} ({legible(of.prompts)}), the best head, against "
        f"{legible(over.head_label, LONG)} ({legible(over.prompts)}): {found}."
    )
