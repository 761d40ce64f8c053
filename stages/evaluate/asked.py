"""What a request for an evaluation means: its prompts, features and heads. Nothing is made yet."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from ...cache.cache import Cache
from ...cache.header import Header
from ...commands.evaluate import Evaluate
from ...commands.options import SIDES
from ...errors import UsageError, option
from ...heads.kinds import KINDS
from ...heads.saving import HeadCard, all_heads, find_head, load_head
from ...manifests.manifest import Manifest
from ...manifests.prompts import PromptSet, prompt_set
from ...pipeline.needs import Need, Needs, canonical_model
from ...pipeline.workspace import Workspace
from ...scoring.cosines import PlainClip
from ...scoring.samples import Classifier, Head

NO_HEAD = "none"
CLIP, LLM = SIDES


@dataclass(frozen=True)
class Teaching:
    """A teacher and what it is asked."""

    teacher: str
    instruction: str
    features: Header | None
    """Features that it made; None where the cache has none that are known to be its."""


@dataclass(frozen=True)
class Known:
    """A head that is scored, None for plain CLIP, and what it was taught."""

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


def refuse_unscorable(manifest: Manifest, prompt_sets: Sequence[PromptSet]) -> None:
    """Raise UsageError where a data set has no labels, or a class without prompts."""
    if not manifest.is_labelled:
        raise UsageError(f"{manifest.label} has no labels: there is nothing to score against")
    for prompts in prompt_sets:
        prompts.covering(manifest.classes)


class Asked:
    """Which features and heads a request means."""

    def __init__(self, request: Evaluate, workspace: Workspace, needs: Needs):
        self._request, self._workspace, self._needs = request, workspace, needs
        self.datasets = workspace.distinct(request.datasets)
        self.sides = set(product(request.image, request.text))
        self._kept = list(all_heads(workspace.cache.heads))
        self._loaded: dict[str, Head | Classifier] = {}
        clips = dict.fromkeys(request.clip) if self.sides != {(LLM, LLM)} else ()
        images = {dataset: [self._need(dataset, "clip_image", clip) for clip in clips] for dataset in self.datasets}
        every = [need for some in images.values() for need in some]
        headers = {need: one.header for need, one in zip(every, needs.answers(every), strict=True)}
        self.heads = {
            dataset: {need: list(self._heads(need, headers[need])) for need in some}
            for dataset, some in images.items()
        }
        instructions = dict.fromkeys(request.instruction) if (LLM, LLM) in self.sides else ()
        self.llm_alone = {
            dataset: [self._need(dataset, "llm", request.teacher, name) for name in instructions]
            for dataset in self.datasets
        }
        needs.answers([need for some in self.llm_alone.values() for need in some])

    def _need(self, dataset: str, node: str, model: str, instruction: str = "") -> Need:
        request = self._request
        return Need(dataset, node, model, instruction, request.protocol, request.dtype, request.frames)

    def _heads(self, need: Need, images: Header) -> Iterator[Known]:
        """The heads to score on some features, plain CLIP first."""
        wanted = self._request.head
        if not wanted or NO_HEAD in wanted:
            yield Known(None, PlainClip())
        named = [find_head(name, self._kept) for name in dict.fromkeys(wanted) if name != NO_HEAD]
        manifest = self._needs.manifest(need.dataset)
        for _, card in named:
            _refuse_other_features(card, images)
            _refuse_other_classes(card, manifest)
        for path, card in named if wanted else self._kept:
            if card.clip_digest == images.encoder_digest and not _classes_lacking(card, manifest):
                self._loaded[card.id] = self._loaded.get(card.id) or load_head(path, card)
                yield self._taught(Known(card, self._loaded[card.id]), card, need)

    def _taught(self, known: Known, card: HeadCard, need: Need) -> Known:
        """A head with what it was taught, where the teacher is on a side."""
        if self.sides == {(CLIP, CLIP)} or KINDS[card.head].learns_from != "teacher":
            return known
        teaching = _teaching_of(self._workspace.cache, card, self._request.teacher)
        if (LLM, CLIP) not in self.sides:
            return replace(known, teaching=teaching)
        e_g = _e_g_need(self._workspace, self._needs.manifest(need.dataset), need, teaching)
        (answer,) = self._needs.answers([e_g])
        _refuse_other_e_g(card, teaching, answer.header)
        return replace(known, teaching=teaching, e_g=e_g)


def _refuse_other_features(card: HeadCard, images: Header) -> None:
    if card.clip_digest != images.encoder_digest:
        raise UsageError(
            f"head {card.id} was trained on {card.backbone} features {card.clip_digest[:12]} ({card.protocol}); "
            f"{images.dataset} has {images.model} features {images.encoder_digest[:12]} ({images.protocol}): "
            f"extract with the same weights, dtype and protocol"
        )


def _classes_lacking(card: HeadCard, manifest: Manifest) -> list[str]:
    """The classes of a data set that a head from labels did not learn."""
    learnt = card.spec.get("classes")
    return [name for name in manifest.classes if name not in learnt] if learnt is not None else []


def _refuse_other_classes(card: HeadCard, manifest: Manifest) -> None:
    if lacking := _classes_lacking(card, manifest):
        raise UsageError(
            f"head {card.id} learnt the classes {', '.join(card.spec['classes'])}; {manifest.label} has "
            f"{', '.join(lacking)} too: leave the head out"
        )


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
    is_here = exact and workspace.cache.of_manifest(manifest, "llm", model=exact)
    return replace(images, node="llm", model=exact if is_here else teaching.teacher, instruction=teaching.instruction)


def _refuse_other_e_g(card: HeadCard, teaching: Teaching, images: Header) -> None:
    """Raise UsageError where e_G of test images is another than the one that a head was fitted to."""
    if teaching.features and teaching.features.encoder_digest != images.encoder_digest:
        raise UsageError(
            f"head {card.id} was fitted to llm features {teaching.features.encoder_digest[:12]} of {card.train}; "
            f"{images.dataset} has {images.encoder_digest[:12]}: extract with the same weights, dtype "
            f"({option('dtype')}) and protocol"
        )
