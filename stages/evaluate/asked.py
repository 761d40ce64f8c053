"""What a request for an evaluation means: its prompts, features and heads. Nothing is made yet."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np

from ...cache.cache import Cache
from ...cache.header import Header
from ...commands.evaluate import Evaluate
from ...commands.options import SIDES
from ...errors import UsageError, option
from ...heads.choosing import NO_HEAD, choose_heads, is_by_fields
from ...heads.kept import heads_in
from ...heads.saving import HeadCard, Kept, load_head
from ...manifests.classes import MOST_COMPARED
from ...manifests.manifest import NO_LABEL, Manifest
from ...manifests.pointers import pointer
from ...manifests.prompts import PromptSet, prompt_set
from ...pipeline.left_out import note_damaged, note_unusable
from ...pipeline.needs import Need, Needs, canonical_model
from ...pipeline.workspace import Workspace
from ...scoring.samples import Classifier, Head
from .fitting import (
    is_of_these,
    longer_clips,
    other_classes,
    other_features,
    other_folds,
    other_frames,
    refuse_other_width,
    why_no_bridge,
)
from .own_heads import without_head

CLIP, LLM = SIDES
BRIDGED = {(CLIP, LLM), (LLM, CLIP)}
"""The sides that only a head leads between."""


@dataclass(frozen=True)
class Teaching:
    """A teacher and what it is asked."""

    teacher: str
    instruction: str
    features: Header | None
    """Features that it made; None where the cache has none that are known to be its."""


@dataclass(frozen=True)
class Known:
    """A head that is scored, without a card for a model as it is, and what it was taught."""

    card: HeadCard | None
    head: Head | Classifier
    teaching: Teaching | None = None
    e_g: Need | None = None
    """Of the test images, where that is compared."""


def prompt_sets_of(request: Evaluate) -> list[PromptSet]:
    """The prompt sets of a sweep. Raises UsageError where two have one name: results are told apart by it."""
    found: dict[str, PromptSet] = {}
    for name in dict.fromkeys(request.prompts):
        prompts = prompt_set(name, request.protocol)
        if found.setdefault(prompts.name, prompts) != prompts:
            raise UsageError(
                f"{option('prompts')} {name}: another prompt set is called {prompts.name} too: rename the file"
            )
    return list(found.values())


def as_scored(prompt_sets: Sequence[PromptSet], named: Sequence[str], manifest: Manifest) -> Manifest:
    """A data set, with remarks on classes that cannot be predicted: they have neither samples nor prompts.

    Raises UsageError where it has no labels, or where a class with samples, or one that is `named`, has no prompts.
    """
    if not manifest.is_labelled:
        hint = pointer(Path(manifest.root)).partition("but ")[2]
        raise UsageError(f"{manifest.label} has no labels: {hint or 'there is nothing to score against'}")
    if len(manifest.classes) > MOST_COMPARED:
        raise UsageError(
            f"{manifest.label} has {len(manifest.classes):,} classes, and up to {MOST_COMPARED:,} can be told apart: "
            f"name some with {option('classes')}"
        )
    remarks = []
    for prompts in prompt_sets:
        with_prompts = prompts.covering(manifest.classes, needed(manifest, named)).prompts
        if lost := [name for name in manifest.classes if name not in with_prompts]:
            remarks.append(f"{prompts.name} has no prompt for {', '.join(lost)}, of which there are no samples")
    return replace(manifest, remarks=(*manifest.remarks, *remarks))


def needed(manifest: Manifest, named: Sequence[str]) -> Sequence[str]:
    """The classes of a data set that need prompts: those that are named, else those that have samples."""
    labels = np.flatnonzero(np.bincount(manifest.labels[manifest.labels != NO_LABEL]))
    return manifest.classes if named else [manifest.classes[label] for label in labels.tolist()]


def sides_of(request: Evaluate) -> set[tuple[str, str]]:
    """The pairs (image, text) that are compared. Raises UsageError where a head is needed and none is wanted."""
    sides = set(product(request.image, request.text))
    if sides <= BRIDGED and set(request.head) == {NO_HEAD}:
        raise UsageError(f"{option('head')} {NO_HEAD}: {_apart(sides)}: choose heads, or the same for both sides")
    return sides


def _apart(sides: set[tuple[str, str]]) -> str:
    """Why some sides cannot be compared without a head."""
    pairs = " or ".join(f"{option('image')} {image} with {option('text')} {text}" for image, text in sorted(sides))
    return (
        f"{pairs} needs a head, as CLIP's space and the LLM's are different ones and only a head leads between them"
    )


class Asked:
    """Which features and heads a request means."""

    def __init__(self, request: Evaluate, workspace: Workspace, needs: Needs):
        self._request, self._workspace, self._needs = request, workspace, needs
        self.datasets = workspace.distinct(request.datasets)
        self.sides = sides_of(request)
        self._kept, damaged = heads_in(workspace.cache.heads)
        self._chosen = {
            one: choose_heads(one, self._kept, self._trained_on, damaged) for one in request.head if one != NO_HEAD
        }
        self._named = {card.id for one, kept in self._chosen.items() if not is_by_fields(one) for _, card in kept}
        if not request.head or any(map(is_by_fields, request.head)):
            note_damaged(workspace, damaged)
        self._loaded: dict[str, Head | Classifier] = {}
        self._unusable: dict[str, UsageError] = {}
        clips = dict.fromkeys(request.clip) if self.sides != {(LLM, LLM)} else ()
        images = {dataset: [self._need(dataset, "clip_image", clip) for clip in clips] for dataset in self.datasets}
        every = [need for some in images.values() for need in some]
        self.headers = {need: one.header for need, one in zip(every, needs.answers(every), strict=True)}
        for selector, kept in self._chosen.items() if every else ():
            self._refuse_unfitting(selector, kept)
        found = {dataset: {need: list(self._heads(need)) for need in some} for dataset, some in images.items()}
        self._refuse_unusable()
        self.heads = {dataset: {need: some for need, some in of.items() if some} for dataset, of in found.items()}
        self.left_out = [need for of in found.values() for need, some in of.items() if not some]
        """The features that none of the heads fits: nothing is made for them."""
        for need in self.left_out:
            needs.drop(need)
        self._refuse_without_bridge()
        instructions = dict.fromkeys(request.instruction) if (LLM, LLM) in self.sides else ()
        self.llm_alone = {
            dataset: [self._need(dataset, "llm", request.teacher, name) for name in instructions]
            for dataset in self.datasets
        }
        alone = [need for some in self.llm_alone.values() for need in some]
        self.headers |= {need: one.header for need, one in zip(alone, needs.answers(alone), strict=True)}

    @property
    def known(self) -> list[Known]:
        """All heads, once for each of the features that they are scored on."""
        return [one for by_need in self.heads.values() for some in by_need.values() for one in some]

    def _trained_on(self, text: str) -> str:
        """What cards call a data set that is named as in --train."""
        try:
            return self._workspace.dataset(text).folder
        except UsageError:  # a name that only cards have
            return text

    def _need(self, dataset: str, node: str, model: str, instruction: str = "") -> Need:
        request = self._request
        return Need(dataset, node, model, instruction, request.protocol, request.dtype, request.frames)

    def _heads(self, need: Need) -> Iterator[Known]:
        """The heads to score on some features, none first."""
        wanted = self._request.head
        if (CLIP, CLIP) in self.sides and (not wanted or NO_HEAD in wanted):
            images = self.headers[need]
            yield Known(None, without_head(self._workspace, need, images, self._needs.manifest(need.dataset)))
        for path, card in _each_once(self._chosen.values()) if wanted else self._kept:
            if not self._why_not(card, need) and self._is_usable(path, card, need):
                if is_of_these(card, self.headers[need]):
                    said = f"head {card.id} learnt from these very labels: its scores say nothing of other samples"
                    self._workspace.remark(self._needs.manifest(need.dataset).label, said)
                if said := other_frames(card, self._needs.manifest(need.dataset), self._request.frames):
                    self._workspace.remark(self._needs.manifest(need.dataset).label, said)
                yield self._taught(Known(card, self._loaded[card.id]), card, need)

    def _is_usable(self, path: Path, card: HeadCard, need: Need) -> bool:
        """Whether a head loads and takes some features; one that does not is left out, unless it was named."""
        try:
            if card.id not in self._loaded:
                self._loaded[card.id] = load_head(path, card)
            refuse_other_width(card, self._loaded[card.id], self.headers[need])
        except UsageError as error:
            if card.id in self._named:
                raise
            self._unusable[card.id] = error
            note_unusable(self._workspace, card, error)
        return card.id not in self._unusable

    def _refuse_unusable(self) -> None:
        """Raise UsageError where a selector means heads that fit, and none of them can be used."""
        for kept in self._chosen.values():
            fitting = [card.id for _, card in kept if any(not self._why_not(card, need) for need in self.headers)]
            if fitting and self._unusable.keys() >= set(fitting):
                raise self._unusable[fitting[0]]

    def _why_not(self, card: HeadCard, need: Need) -> str:
        """Why a head is not scored on some features; empty where it is."""
        return (
            other_features(card, self.headers[need])
            or other_classes(card, self._needs.manifest(need.dataset))
            or other_folds(card, self._needs.manifest(need.dataset))
            or longer_clips(card, self._needs.manifest(need.dataset), self._request.frames)
            or ("" if (CLIP, CLIP) in self.sides else why_no_bridge(card))
        )

    def _refuse_unfitting(self, selector: str, kept: Sequence[Kept]) -> None:
        """Raise UsageError where no head that a selector means fits any features, and say why the first does not."""
        if any(not self._why_not(card, need) for _, card in kept for need in self.headers):
            return
        card = kept[0][1]
        own = [need for need, header in self.headers.items() if header.model == card.backbone]
        why = self._why_not(card, (own or list(self.headers))[0])
        if len(kept) > 1:
            why = f"none of these {len(kept)} heads fits: {why}"
        raise UsageError(f"{option('head')} {selector}: {why}")

    def _refuse_without_bridge(self) -> None:
        """Raise UsageError where all that is compared needs a head from a teacher, and there is none."""
        if self.sides <= BRIDGED and not any(one.teaching for one in self.known):
            raise UsageError(f"no head of the cache matches, and {_apart(self.sides)}: fit one first")

    def _taught(self, known: Known, card: HeadCard, need: Need) -> Known:
        """A head with what it was taught, where the teacher is on a side."""
        if self.sides == {(CLIP, CLIP)} or why_no_bridge(card):
            return known
        teaching = _teaching_of(self._workspace.cache, card, self._request.teacher)
        if (LLM, CLIP) not in self.sides:
            return replace(known, teaching=teaching)
        e_g = _e_g_need(self._workspace, self._needs.manifest(need.dataset), need, teaching)
        (answer,) = self._needs.answers([e_g])
        self.headers[e_g] = answer.header
        _refuse_other_e_g(card, teaching, answer.header)
        return replace(known, teaching=teaching, e_g=e_g)


def _teaching_of(cache: Cache, card: HeadCard, named: str) -> Teaching:
    """What a head was taught. `named` is the teacher that the user gave, which may say where its folder is."""
    key = card.spec.get("llm")
    store = cache.of_key("llm", key) if key else None
    fitted_to = store.header if store else None
    is_named = canonical_model("llm", named) == card.teacher
    return Teaching(named if is_named else card.teacher, card.instruction, fitted_to)


def _e_g_need(workspace: Workspace, manifest: Manifest, images: Need, teaching: Teaching) -> Need:
    """The e_G of a data set that a teaching means: by digest where the cache has exactly those, by name otherwise."""
    exact = teaching.features.encoder_digest if teaching.features else ""
    is_here = exact and any(workspace.cache.of_manifest(manifest, "llm", model=exact))
    return replace(images, node="llm", model=exact if is_here else teaching.teacher, instruction=teaching.instruction)


def _refuse_other_e_g(card: HeadCard, teaching: Teaching, images: Header) -> None:
    """Raise UsageError where e_G of test images is another than the one that a head was fitted to."""
    if teaching.features and teaching.features.encoder_digest != images.encoder_digest:
        raise UsageError(
            f"head {card.id} was fitted to llm features {teaching.features.encoder_digest[:12]} of {card.train}; "
            f"{images.dataset} has {images.encoder_digest[:12]}: extract with the same weights, dtype "
            f"({option('dtype')}) and protocol"
        )


def _each_once(chosen: Iterable[Sequence[Kept]]) -> Iterable[Kept]:
    """The heads of some selectors in order, each once."""
    return {card.id: (path, card) for kept in chosen for path, card in kept}.values()
