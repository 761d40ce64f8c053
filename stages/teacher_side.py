"""The teacher's side of a comparison (Exp-CLIP, Table 5): e_G of test images, and prompts by the teacher's T5."""

from dataclasses import dataclass
from typing import Any

from ..cache.cache import TEXT, Cache
from ..cache.header import Header
from ..cache.select import differences
from ..cache.store import FeatureStore
from ..encoders.names import teacher_name
from ..errors import UsageError
from ..heads.files import HeadCard
from ..manifests.manifest import Manifest
from ..pipeline.plan import Request
from .features import Choice
from .workspace import Workspace


@dataclass(frozen=True)
class Teaching:
    """A teacher and what it is asked."""

    teacher: str
    instruction: str
    features: Header | None
    """Features that it made; None where the cache has none that are known to be its."""


def teaching_of(cache: Cache, card: HeadCard, named: str | None) -> Teaching:
    """What a head was taught. `named` is the teacher that the user gave, which may say where its folder is."""
    key = card.spec.get("llm")
    headers = (store.header for store in cache.find(card.train, "llm")) if key else ()
    fitted_to = next((header for header in headers if header.key == key), None)
    is_named = named is not None and teacher_name(named).canonical == card.teacher
    return Teaching(named if named and is_named else card.teacher, card.instruction, fitted_to)


def e_g_choice(workspace: Workspace, dataset: str, teaching: Teaching, frames: str) -> Choice:
    """The e_G of a data set that a teaching means: by digest where the cache has exactly those, by name otherwise."""
    exact = teaching.features.encoder_digest if teaching.features else ""
    is_here = exact and workspace.cache.find(workspace.dataset(dataset).name, "llm", model=exact)
    model = exact if is_here else teaching.teacher
    return Choice(dataset, "llm", model, teaching.instruction, workspace.protocol, None, frames)


def refuse_other_e_g(card: HeadCard, teaching: Teaching, images: Header) -> None:
    """Raise UsageError where e_G of test images is another than the one that a head was fitted to."""
    if teaching.features and teaching.features.encoder_digest != images.encoder_digest:
        raise UsageError(
            f"head {card.id} was fitted to llm features {teaching.features.encoder_digest[:12]} of {card.train}; "
            f"{images.dataset} has {images.encoder_digest[:12]}: extract with the same weights, precision (--dtype) "
            f"and protocol"
        )


def prompts_by_t5(workspace: Workspace, manifest: Manifest, teaching: Teaching, cached_only: bool) -> FeatureStore:
    """The embeddings of a prompt set by the teacher's T5; made where they are missing, unless `cached_only`."""
    like = teaching.features.spec if teaching.features else None
    known = _cached(workspace, manifest, teaching, like)
    if known is not None:
        return known
    if cached_only:
        raise UsageError(
            f"the text features of {manifest.name} by {teaching.teacher} are not cached: leave out --cached-only"
        )
    models = workspace.models_in(like["precision"]["t5"]) if like else workspace.models
    node = models.llm_text(teaching.teacher)
    if like and not _same_t5(node.spec, like):
        raise UsageError(f"{teaching.teacher} has other weights now than those that made e_G: bring them back")
    request = Request(manifest, (node,))
    workspace.run(workspace.plan([request]), [request], f"encode {manifest.name}")
    made = _cached(workspace, manifest, teaching, node.spec)
    assert made is not None
    return made


def _cached(
    workspace: Workspace, manifest: Manifest, teaching: Teaching, like: dict[str, Any] | None
) -> FeatureStore | None:
    wanted = {"rows_digest": manifest.rows.digest}
    if like is None:
        wanted["model"] = teacher_name(teaching.teacher).canonical
    stores = [
        store
        for store in workspace.cache.find(TEXT, "llm_text", **wanted)
        if store.is_complete() and (like is None or _same_t5(store.header.spec, like))
    ]
    if len(stores) > 1:
        raise UsageError(
            f"{manifest.name} has {len(stores)} stores of llm_text by {teaching.teacher}, which differ in "
            f"{differences(stores)}; the features that the head was fitted to would tell which it needs: bring them "
            f"back with `expclip cache import`"
        )
    return stores[0] if stores else None


def _same_t5(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two specs are of one T5, in one number format."""
    is_same = all(one[part] == other[part] for part in ("t5", "weights", "tokenizer"))
    return is_same and one["precision"]["t5"] == other["precision"]["t5"]
