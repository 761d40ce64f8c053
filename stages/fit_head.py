"""`expclip fit-head`: train heads from cached features."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.filesize import decimal as byte_count

from ..cache.header import Header
from ..cache.keys import digest
from ..cache.store import FeatureStore
from ..commands.fit_head import FitHead, FittedHead
from ..commands.unused import note_unused
from ..encoders.dtypes import emulates_bfloat16, resolve_device
from ..errors import ExpclipError, UsageError, option
from ..heads.kinds import KINDS, TeacherPairs
from ..heads.recipe import LOGIT_SCALE, Recipe
from ..heads.saving import HeadCard, head_id, problem_of, read_card, save_head
from ..heads.unfinished import EPOCHS, Unfinished, forget
from ..manifests.frames import ALL
from ..manifests.manifest import Manifest
from ..pipeline.checks import refuse_several_gpus, refuse_unknown_models
from ..pipeline.learnt import Shelf
from ..pipeline.machine import peak_memory
from ..pipeline.needs import Need, Needs
from ..pipeline.workspace import Workspace
from ..reports.console import say
from .from_clips import USUAL, frames_of, learns_more, learns_prompts
from .from_labels import LabelFit, Labelled, holds_out, uses_seed
from .optimiser import optimiser_of


def fit_head(request: FitHead) -> list[FittedHead]:
    """Train every head of the sweep that is not in the cache yet, from cached features alone.

    Raises UsageError naming the `expclip extract` command where features are missing.
    """
    refuse_several_gpus(request)
    workspace = Workspace.of(request, [request.train])
    if request.device is not None:
        resolve_device(request.device)
    by_teacher = any(KINDS[head].learns_from == "teacher" for head in request.head)
    refuse_unknown_models(request, "clip", *(["teacher", "instruction"] if by_teacher else []))
    if all(KINDS[head].learns_from == "teacher" for head in request.head):
        workspace = replace(workspace, classes=None)  # no head learns them
    lessons = list(_lessons(workspace, request))
    for lesson in lessons:
        lesson.refuse(request)
    _note_unused(request, lessons)
    jobs = [(lesson, card) for lesson in lessons for card in _cards(lesson, request)]
    _note_emulated(workspace, request, [card for _, card in jobs])
    shelf = Shelf()
    teachers = [lesson.teacher and lesson.teacher.path for lesson, _ in jobs]
    found: dict[int, FittedHead] = {}
    for k in sorted(range(len(jobs)), key=lambda k: teachers.index(teachers[k])):  # one teacher after the other
        lesson, card = jobs[k]
        found[k] = _fit(workspace, lesson, card, request, shelf)
    if shelf.has_any_on_disk:
        say(f"note: up to {byte_count(peak_memory())} of memory were used")
    return [found[k] for k in range(len(jobs))]


@dataclass(frozen=True, eq=False)
class Lesson:
    """The features that heads are fitted to: of images, and of the teacher where heads learn from one."""

    manifest: Manifest
    images: FeatureStore
    teacher: FeatureStore | None
    heads: tuple[str, ...]
    """The kinds of heads that learn from these."""
    failed: list[int]
    """The rows that one of the stores lacks."""
    labelled: Labelled | None = None
    """What they learn from labels, where there is no teacher."""

    def pairs(self, shelf: Shelf) -> TeacherPairs:
        """What is learnt from a teacher, read when it is needed."""
        assert self.teacher is not None
        return shelf.pairs(self.images, self.teacher, self.failed)

    def refuse(self, request: FitHead) -> None:
        """Raise UsageError where heads learn from labels that are not there, or from fewer rows than a batch."""
        if self.labelled:
            self.labelled.refuse(self.heads, request)
        rows, size = self.images.header.rows - len(self.failed), request.batch_size
        if self.teacher and rows < size and any(KINDS[head].has_steps for head in self.heads):
            raise UsageError(
                f"{option('batch_size')} {size}: a batch needs as many rows, and {self.manifest.label} has "
                f"{rows:,}: choose a smaller one"
            )


_OF_PROMPTS = ("context_tokens", "contexts", "context_position")
_OF_STEPS = ("epochs", "batch_size", "lr", "momentum", "weight_decay", "precision")
_OF_LABELS = ("classes", "shots", "balanced", "validation", "frames", "prompts")
_OF_A_TEACHER = ("teacher", "instruction", "objective", "ridge_lambda")


def _note_unused(request: FitHead, lessons: Sequence[Lesson]) -> None:
    """Say which options were given that change none of the heads."""
    kinds = [KINDS[head] for head in request.head]
    none = f"none of these heads ({', '.join(dict.fromkeys(request.head))})"
    if not any(uses_seed(head, request.shots[0] if request.shots else None) for head in request.head):
        note_unused(request, "seed", f"{none} is trained step by step")
    if not any(kind.has_steps for kind in kinds):
        note_unused(request, _OF_STEPS, f"{none} is trained step by step")
    taught = [kind for kind in kinds if kind.learns_from == "teacher"]
    if len(taught) == len(kinds):
        note_unused(request, _OF_LABELS, f"{none} learns from labels")
    elif not any(holds_out(head, request) for head in request.head):
        note_unused(request, "validation", f"{none} is validated")
    elif request.shots:
        note_unused(request, "validation", "with shots as many are held out, up to 4 a class")
    if len(taught) < len(kinds) and not any(kind.prompts for kind in kinds):
        note_unused(request, "prompts", f"{none} needs any")
    _note_unused_of_clips(request, lessons, none)
    if not taught and any(kind.has_steps for kind in kinds):
        note_unused(request, "precision", f"{none} learns from a teacher")
    if not taught:
        note_unused(request, _OF_A_TEACHER, f"{none} learns from a teacher")
    elif not any(kind.has_steps for kind in taught):
        note_unused(request, "objective", f"{none} has a choice of it")
    elif all(kind.has_steps for kind in taught):
        note_unused(request, "ridge_lambda", f"{none} is fitted in closed form")


def _note_unused_of_clips(request: FitHead, lessons: Sequence[Lesson], none: str) -> None:
    """The same of those that are about clips that are led to prompts."""
    heads = [head for head in request.head if KINDS[head].texts]
    learning = [head for head in heads if learns_prompts(head, request)]
    if not any(map(learns_more, heads)):
        note_unused(request, "text", f"{none} can leave its prompts as they are")
    if not heads:
        note_unused(request, ("sampler", "select"), f"{none} leads clips to prompts")
    elif not any(one.labelled and one.labelled.frames == ALL for one in lessons):
        note_unused(request, "sampler", "of each clip the frames are learnt from that are tested")
    if not learning:
        note_unused(request, (*_OF_PROMPTS, "context_lr"), f"{none} learns its prompts")
    elif not any(map(learns_more, learning)):
        note_unused(request, "context_lr", f"{none} learns anything besides: the rate of its contexts is --lr")


def _note_emulated(workspace: Workspace, request: FitHead, cards: Sequence[HeadCard]) -> None:
    """Say that products in bfloat16 are slow here, where there are any."""
    if request.precision != "bfloat16" or not emulates_bfloat16(resolve_device(request.device)):
        return
    if any(KINDS[card.head].has_steps and read_card(workspace.cache.heads / card.id) is None for card in cards):
        say("note: this processor only emulates products in bfloat16: in float32 they are faster, and more exact")


def _lessons(workspace: Workspace, request: FitHead) -> Iterator[Lesson]:
    """One for each combination of the features that heads are fitted to."""
    by_source: dict[str, list[str]] = {"teacher": [], "labels": []}
    for head in dict.fromkeys(request.head):
        by_source[KINDS[head].learns_from].append(head)
    wanted: list[tuple[Need, Need | None, tuple[str, ...]]] = []
    for clip in dict.fromkeys(request.clip):
        images = Need(request.train, "clip_image", clip, protocol=request.protocol)
        for instruction in dict.fromkeys(request.instruction) if by_source["teacher"] else ():
            e_g = Need(request.train, "llm", request.teacher, instruction, request.protocol)
            wanted.append((images, e_g, tuple(by_source["teacher"])))
        by_frames: dict[str, list[str]] = {}
        for head in by_source["labels"]:
            by_frames.setdefault(frames_of(workspace, head, request, images), []).append(head)
        wanted += [(replace(images, frames=frames), None, tuple(some)) for frames, some in by_frames.items()]
    needs = Needs(workspace, makes=False)
    needs.answers(list(dict.fromkeys(need for images, e_g, _ in wanted for need in (images, e_g) if need)))
    stores = needs.stores()
    published = workspace.dataset(request.train).ref.published
    lists_train = published is not None and published.role == "train"
    for images, e_g, heads in wanted:
        manifest, store = stores[images]
        teacher = stores[e_g][1] if e_g else None
        failed = sorted({row.row for one in (store, teacher) if one for row in one.failed_rows()})
        frames = images.frames or USUAL
        labelled = None if teacher else Labelled(manifest, store, failed, frames, images.model, lists_train)
        yield Lesson(manifest, store, teacher, heads, failed, labelled)


def _cards(lesson: Lesson, request: FitHead) -> Iterator[HeadCard]:
    """The heads of a sweep that are fitted to the same features."""
    for head in lesson.heads:
        for shots in (request.shots or (None,)) if lesson.labelled else (None,):
            seeds = dict.fromkeys(request.seed) if uses_seed(head, shots) else (None,)
            yield from (_card(lesson, head, seed, shots, request) for seed in seeds)


def _card(lesson: Lesson, head: str, seed: int | None, shots: int | None, request: FitHead) -> HeadCard:
    images, teacher = lesson.images.header, lesson.teacher.header if lesson.teacher else None
    if teacher is None:
        how, stores = _by_labels(lesson, head, seed, shots, request), {"clip_image": images.key}
    else:
        how = _by_teacher(head, seed, request, images, teacher)
        stores = {"clip_image": images.key, "llm": teacher.key}
    spec: dict[str, Any] = {"head": head} | how | stores | {"failed_rows": digest(lesson.failed)}
    return HeadCard(
        id=head_id(spec),
        head=head,
        objective=spec["objective"]["name"],
        backbone=images.model,
        clip_digest=images.encoder_digest,
        teacher=teacher.model if teacher else "",
        instruction=teacher.instruction if teacher else "",
        protocol=images.protocol,
        e_g_protocol=teacher.protocol if teacher and teacher.protocol != images.protocol else "",
        train=lesson.manifest.folder,
        seed=seed,
        untrained=images.untrained or (teacher is not None and teacher.untrained),
        spec=spec,
    )


def _by_teacher(head: str, seed: int | None, request: FitHead, images: Header, teacher: Header) -> dict[str, Any]:
    """What determines a head that learns from a teacher, beside the features."""
    kind = KINDS[head]
    if not kind.has_steps:
        return {"objective": {"name": "mse"}, "ridge_lambda": request.ridge_lambda}
    scale = {"logit_scale": LOGIT_SCALE} if request.objective == "infonce" else {}
    sizes = kind.trainer.sizes
    chosen = {"sizes": sizes(images.row_shape[-1], teacher.row_shape[-1])} if sizes else {}
    how = {"objective": {"name": request.objective} | scale, "optimiser": optimiser_of(request, teacher.model, head)}
    return how | {"seed": seed} | chosen


def _by_labels(lesson: Lesson, head: str, seed: int | None, shots: int | None, request: FitHead) -> dict[str, Any]:
    """What determines a head that learns from labels, beside the features."""
    from ..scoring.compare import LABELS

    assert lesson.labelled is not None
    how = {"objective": {"name": LABELS}} | lesson.labelled.spec(head, seed, shots, request)
    return how | ({"optimiser": optimiser_of(request, "", head)} if KINDS[head].has_steps else {})


def _fit(workspace: Workspace, lesson: Lesson, card: HeadCard, request: FitHead, shelf: Shelf) -> FittedHead:
    folder = workspace.cache.heads / card.id
    known = _in_cache(folder)
    if known is not None:
        forget(workspace.cache.heads, card.id)
        return FittedHead(folder, known, is_new=False)
    optimiser = optimiser_of(request, card.teacher, card.head)
    steps = {name: value for name, value in optimiser.items() if name != "name"}
    objective = card.objective if lesson.teacher else request.objective
    seed = card.seed or 0  # a head without a seed draws nothing
    device = resolve_device(request.device)
    recipe = Recipe(**steps, objective=objective, seed=seed, device=device, ridge_lambda=request.ridge_lambda)
    by_labels = _by_prompts(workspace, lesson.labelled, card, request) if lesson.labelled else None
    started = time.perf_counter()
    with workspace.progress(f"fit {card.label}", "steps") as show:
        if by_labels:
            head = by_labels.fit(recipe, show)
        else:
            head = KINDS[card.head].trainer.fit(lesson.pairs(shelf), recipe, show)
    card = replace(card, losses=head.losses_, seconds=round(time.perf_counter() - started, 3))
    losses = getattr(head, "step_losses_", [])  # heads without steps need not have it
    tensors = head.tensors()
    _refuse_no_numbers(card, tensors)
    saved = save_head(workspace.cache.heads, card, tensors, losses)
    forget(workspace.cache.heads, card.id)
    return FittedHead(saved, card, is_new=True)


def _refuse_no_numbers(card: HeadCard, tensors: Mapping[str, np.ndarray]) -> None:
    """Raise ExpclipError where the last step of a fit, whose loss nobody sees, led to no numbers."""
    if not all(np.isfinite(value).all() for value in tensors.values()):
        raise ExpclipError(f"{card.label}: what it learnt is no finite numbers: choose a smaller {option('lr')}")


def _by_prompts(workspace: Workspace, labelled: Labelled, card: HeadCard, request: FitHead) -> LabelFit:
    """The fit of a head from labels, with the prompts that it needs, and with where it keeps what it has reached."""
    kind, texts, prompts = KINDS[card.head], None, None
    if learns_prompts(card.head, request):
        prompts = labelled.class_texts(workspace, card.head, request)
    elif kind.prompts:
        texts = labelled.texts(workspace, card.head, request)
    folds = labelled.by_fold if kind.texts else ()
    unfinished = {fold: Unfinished.of(workspace.cache.heads, card.id, fold) for fold in folds}
    for fold, one in unfinished.items():
        _say_reached(card, fold, one)
    return LabelFit(labelled, card.head, card.spec["shots"], card.seed or 0, request, texts, prompts, unfinished)


def _say_reached(card: HeadCard, fold: int, unfinished: Unfinished) -> None:
    """Say where the fit of a head goes on that was broken off."""
    if not unfinished.file.exists():
        return
    state, of = unfinished.read(), f"{card.label}, fold {fold}" if fold else card.label
    if state is None:
        say(f"note: {of}: what an earlier run reached is damaged: it is fitted from the beginning")
    else:
        epochs = card.spec["optimiser"]["epochs"]
        say(f"note: {of}: an earlier run was broken off: it goes on behind epoch {state[EPOCHS][0]} of {epochs}")


def _in_cache(folder: Path) -> HeadCard | None:
    """The card of a head that is in the cache and loads; of one that does not, it is said that it is fitted again."""
    if not os.path.lexists(folder):
        return None
    problem = problem_of(folder)
    if problem:
        say(f"note: {folder}: this head is damaged ({problem}): it is fitted again")
    return None if problem else read_card(folder)
