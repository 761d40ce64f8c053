"""The text side of a score: prompts are cached text by text, and only what no store holds is ever encoded."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..cache.cache import TEXT, Cache
from ..cache.header import Header
from ..cache.store import FeatureStore
from ..encoders.node import Node
from ..errors import UsageError
from ..heads.cosines import unit
from ..manifests.manifest import text_manifest
from ..manifests.prompts import PromptSet
from ..pipeline.plan import Request
from .features import is_digest
from .workspace import Workspace

ENSEMBLES = ("logits", "embeddings")


class PromptEmbeddings:
    """What samples are compared with: the embeddings of a prompt set, or of each class their mean direction.

    Both come before the head, which projects and normalises every vector that it is given:

    * `logits` (as released): each prompt's e_T is projected and normalised by itself, cos(P(e_I), P(e_T)), and the
      cosines are averaged over the prompts of a class.
    * `embeddings` (CLIP's own habit): each e_T is normalised, they are averaged over the prompts of a class, and that
      one vector is projected and normalised: cos(P(e_I), P(mean of e_T / |e_T|)). Nothing but the mean happens
      before the head: prompts are averaged in CLIP's space, not in the teacher's.

    Where the teacher's T5 encodes prompts, they are in its space already, and are not projected.

    With one prompt a class the two are the same. Source: Exp-CLIP's released test script; Radford et al., 2021,
    section 3.1.4.
    """

    def __init__(self, prompts: PromptSet, embeddings: dict[str, np.ndarray], ensemble: str):
        self.name = prompts.name
        self.ensemble = ensemble
        self._of_class = {
            name: np.stack([embeddings[text] for text in texts]) for name, texts in prompts.prompts.items()
        }

    def by_class(self, classes: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Vectors (m, L) float64 for the head, and for each its class index, of the classes of a data set."""
        vectors = [self._of_class[name] for name in classes]
        if self.ensemble == "embeddings":
            vectors = [unit(one).mean(axis=0, keepdims=True) for one in vectors]
        return np.concatenate(vectors), np.repeat(np.arange(len(classes)), [len(one) for one in vectors])


@dataclass(frozen=True)
class TextEncoder:
    """What encodes texts, and how its features in the cache are told from others."""

    node: str
    name: str
    """As the user named it."""
    like: dict[str, Any] | None
    """The spec of features that it belongs to; None where it is whatever `make` makes."""
    of: str
    """Those features, for people."""
    is_same: Callable[[dict[str, Any], dict[str, Any]], bool]
    """Whether two specs are of one encoder of texts, in one number format."""
    make: Callable[[], Node]


def clip_encoder(workspace: Workspace, clip: str, images: Header) -> TextEncoder:
    """The text tower that belongs to some image features, in their number format."""
    models = workspace.models_in(images.spec["precision"])
    name = images.model if is_digest(clip) else clip
    features = f"the {images.node} features of {images.dataset}"
    return TextEncoder("clip_text", clip, images.spec, features, _same_clip, partial(models.clip_text, name))


def _same_clip(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two specs are of the two towers of one CLIP, in one number format."""
    return all(one[part] == other[part] for part in ("architecture", "weights", "precision"))


def prompt_embeddings(
    workspace: Workspace, prompt_sets: Sequence[PromptSet], ensemble: str, encoder: TextEncoder, cached_only: bool
) -> list[PromptEmbeddings]:
    """The embeddings of some prompt sets; what is missing is encoded as in `text_embeddings`."""
    wanted = {prompts.name: prompts.texts for prompts in prompt_sets}
    found = text_embeddings(workspace, wanted, encoder, cached_only)
    return [PromptEmbeddings(prompts, found, ensemble) for prompts in prompt_sets]


def text_embeddings(
    workspace: Workspace, wanted: Mapping[str, Sequence[str]], encoder: TextEncoder, cached_only: bool
) -> dict[str, np.ndarray]:
    """The embeddings (L,) float64 of texts, which are given by the name of what they are needed for.

    Texts that are missing are encoded first; no model is loaded where there are none. Raises UsageError where they
    may not be encoded, or the weights are others by now.
    """
    texts = list(dict.fromkeys(text for some in wanted.values() for text in some))
    found = _cached(workspace.cache, texts, encoder, encoder.like) if encoder.like else {}
    missing = set(texts) - found.keys()
    if missing and cached_only:
        names = ", ".join(name for name, some in wanted.items() if missing.intersection(some))
        raise UsageError(
            f"text features of {names} by {encoder.name} are not cached: `expclip evaluate` without --cached-only "
            f"encodes them"
        )
    return _complete(workspace, texts, encoder) if missing else found


def _complete(workspace: Workspace, texts: Sequence[str], encoder: TextEncoder) -> dict[str, np.ndarray]:
    """The embeddings of texts of which some are still to be encoded."""
    node = encoder.make()
    if encoder.like and not encoder.is_same(node.spec, encoder.like):
        raise UsageError(
            f"{encoder.name} has other weights now than those that made {encoder.of}: extract again, or bring them "
            f"back"
        )
    found = _cached(workspace.cache, texts, encoder, node.spec)
    missing = [(text, 0) for text in texts if text not in found]
    request = Request(text_manifest(TEXT, (TEXT,), missing), (node,))
    workspace.run(workspace.plan([request]), [request], "encode texts")
    return _cached(workspace.cache, texts, encoder, node.spec)


def _cached(cache: Cache, texts: Iterable[str], encoder: TextEncoder, like: dict[str, Any]) -> dict[str, np.ndarray]:
    """The embeddings (L,) float64 of those texts that a finished store of the same encoder holds."""
    found: dict[str, np.ndarray] = {}
    for store, known in stores_of_texts(cache, encoder.node, texts):
        wanted = set(texts) - found.keys()
        if encoder.is_same(store.header.spec, like) and not wanted.isdisjoint(known):
            rows = zip(known, store.read().astype(np.float64), strict=True)
            found |= {text: row for text, row in rows if text in wanted}
    return found


def stores_of_texts(
    cache: Cache, node: str, texts: Iterable[str], **fields: str
) -> Iterator[tuple[FeatureStore, Sequence[str]]]:
    """The finished stores of a node that hold any of some texts, each with the texts that it holds, by row."""
    manifests = cache.texts()
    for store in cache.find(TEXT, node, **fields):
        known = manifests.get(store.header.rows_digest)
        if known and not set(texts).isdisjoint(known.rows.sources) and store.is_complete():
            yield store, known.rows.sources
