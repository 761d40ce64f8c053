"""The teacher's side of a comparison (Exp-CLIP, Table 5): e_G of test images, and prompts by the teacher's T5."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..cache.cache import Cache
from ..cache.header import Header
from ..cache.select import differences
from ..cache.store import FeatureStore
from ..encoders.names import teacher_name
from ..errors import UsageError
from ..heads.files import HeadCard
from ..manifests.prompts import PromptSet
from .features import Choice
from .samples import Samples, image_features
from .scoring import Scoring
from .texts import PromptEmbeddings, TextEncoder, prompt_embeddings, stores_of_texts
from .workspace import Workspace


@dataclass(frozen=True)
class Teaching:
    """A teacher and what it is asked."""

    teacher: str
    instruction: str
    features: Header | None
    """Features that it made; None where the cache has none that are known to be its."""


class TeacherSide:
    """Samples and prompts in the teacher's space, each read once."""

    def __init__(self, workspace: Workspace, text: str, scoring: Scoring, prompt_sets: Sequence[PromptSet]):
        self._workspace = workspace
        self._text = text
        self._scoring = scoring
        self._prompt_sets = prompt_sets
        self._samples: dict[Choice, Samples] = {}
        self._texts: dict[tuple[str, str], list[PromptEmbeddings]] = {}

    def teaching(self, card: HeadCard) -> Teaching:
        return _teaching_of(self._workspace.cache, card, self._scoring.teacher)

    def samples(self, teaching: Teaching, card: HeadCard | None = None) -> Samples:
        """The samples' e_G. Raises UsageError where it is not the one that a head was fitted to."""
        choice = _e_g_choice(self._workspace, self._text, teaching, self._scoring.frames)
        if choice not in self._samples:
            manifest, store = image_features(self._workspace, choice, self._scoring, self._prompt_sets)
            self._samples[choice] = Samples(manifest, store, self._scoring.frames)
        found = self._samples[choice]
        if card:
            _refuse_other_e_g(card, teaching, found.header)
        return found

    def texts(self, teaching: Teaching, classes: Sequence[str]) -> list[PromptEmbeddings]:
        """The prompts for the classes of the data set by the teacher's T5."""
        known = teaching.teacher, teaching.features.encoder_digest if teaching.features else ""
        if known not in self._texts:
            scoring = self._scoring
            prompt_sets = [one.covering(classes) for one in self._prompt_sets]
            texts = {text for prompts in prompt_sets for text in prompts.texts}
            encoder = _t5_encoder(self._workspace, teaching, texts)
            self._texts[known] = prompt_embeddings(
                self._workspace, prompt_sets, scoring.ensemble, encoder, scoring.cached_only
            )
        return self._texts[known]


def _teaching_of(cache: Cache, card: HeadCard, named: str | None) -> Teaching:
    """What a head was taught. `named` is the teacher that the user gave, which may say where its folder is."""
    key = card.spec.get("llm")
    headers = (store.header for store in cache.find(card.train, "llm")) if key else ()
    fitted_to = next((header for header in headers if header.key == key), None)
    is_named = named is not None and teacher_name(named).canonical == card.teacher
    return Teaching(named if named and is_named else card.teacher, card.instruction, fitted_to)


def _e_g_choice(workspace: Workspace, dataset: str, teaching: Teaching, frames: str) -> Choice:
    """The e_G of a data set that a teaching means: by digest where the cache has exactly those, by name otherwise."""
    exact = teaching.features.encoder_digest if teaching.features else ""
    is_here = exact and workspace.cache.find(workspace.dataset(dataset).name, "llm", model=exact)
    model = exact if is_here else teaching.teacher
    return Choice(dataset, "llm", model, teaching.instruction, workspace.protocol, None, frames)


def _refuse_other_e_g(card: HeadCard, teaching: Teaching, images: Header) -> None:
    """Raise UsageError where e_G of test images is another than the one that a head was fitted to."""
    if teaching.features and teaching.features.encoder_digest != images.encoder_digest:
        raise UsageError(
            f"head {card.id} was fitted to llm features {teaching.features.encoder_digest[:12]} of {card.train}; "
            f"{images.dataset} has {images.encoder_digest[:12]}: extract with the same weights, precision (--dtype) "
            f"and protocol"
        )


def _t5_encoder(workspace: Workspace, teaching: Teaching, texts: Collection[str]) -> TextEncoder:
    """The teacher's T5: the one behind e_G; where that is unknown, the one whose features of all texts are cached.

    Raises UsageError where several are.
    """
    name = teaching.teacher
    like = teaching.features.spec if teaching.features else _cached_t5(workspace.cache, name, texts)
    models = workspace.models_in(like["precision"]["t5"]) if like else workspace.models
    return TextEncoder("llm_text", name, like, "e_G", _same_t5, partial(models.llm_text, name))


def _cached_t5(cache: Cache, teacher: str, texts: Collection[str]) -> dict[str, Any] | None:
    """The spec of the only T5 of a teacher by whose features all texts are cached."""
    by_t5: list[tuple[FeatureStore, set[str]]] = []
    for store, known in stores_of_texts(cache, "llm_text", texts, model=teacher_name(teacher).canonical):
        of_same = next((held for one, held in by_t5 if _same_t5(one.header.spec, store.header.spec)), None)
        if of_same is None:
            by_t5.append((store, set(known)))
        else:
            of_same.update(known)
    stores = [store for store, held in by_t5 if held.issuperset(texts)]
    if len(stores) > 1:
        raise UsageError(
            f"the prompts have {len(stores)} stores of llm_text by {teacher}, which differ in {differences(stores)}; "
            f"the features that the head was fitted to would tell which it needs: bring them back with "
            f"`expclip cache import`"
        )
    return stores[0].header.spec if stores else None


def _same_t5(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two specs are of one T5, in one number format."""
    is_same = all(one[part] == other[part] for part in ("t5", "weights", "tokenizer"))
    return is_same and one["precision"]["t5"] == other["precision"]["t5"]
