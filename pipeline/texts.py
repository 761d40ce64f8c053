"""Embeddings of texts: they are cached text by text, and only what no store holds is ever encoded."""

from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..cache.cache import TEXT
from ..cache.header import Header
from ..cache.keys import digest
from ..cache.select import differences
from ..cache.store import FeatureStore
from ..encoders.node import Node, Reading
from ..errors import ExpclipError, UsageError, option, reason
from ..manifests.manifest import text_manifest
from .left_out import note_unreadable_texts
from .needs import canonical_model, is_digest
from .plan import Wanted
from .t5_precision import continued
from .workspace import Workspace

_CONTEXT = 77
"""How many tokens a CLIP reads whose configuration does not say it."""


@dataclass(frozen=True)
class TextEncoder:
    """What encodes texts, and how its features in the cache are told from others."""

    node: str
    model: str
    asked: str
    """The model as the user named it."""
    identity: dict[str, Any] | None
    """Of the features that it belongs to; None where it is whatever the model's name means."""
    dtype: str | None
    of: str = ""
    """Those features, human-readable."""
    context: int = 0
    """How many tokens it reads of a text; 0 for a T5, which reads all."""


@dataclass(frozen=True)
class Told:
    """How an encoder tells some texts apart."""

    keys: Mapping[str, Hashable]
    """By text: equal where texts have the same embedding."""
    cut: frozenset[str]
    """The texts that are longer than it reads."""

    def alike(self, named: Mapping[str, Sequence[str]]) -> list[list[str]]:
        """The names, each of some texts, that have the same embeddings."""
        groups: dict[Any, list[str]] = defaultdict(list)
        for name, texts in named.items():
            groups[frozenset(Counter(self.keys[text] for text in texts).items())].append(name)
        return [names for names in groups.values() if len(names) > 1]


def clip_encoder(clip: str, images: Header) -> TextEncoder:
    """The text tower that belongs to some image features, in their dtype."""
    model = images.model if is_digest(clip) else clip
    features = f"the {images.node} features of {images.dataset}"
    identity = _identity(images.spec)
    return TextEncoder("clip_text", model, clip, identity, identity["dtype"], features, _context(identity))


def t5_encoder(workspace: Workspace, teacher: str, e_g: Header | None, texts: Collection[str]) -> TextEncoder:
    """A teacher's T5: the one behind e_G; where that is unknown, the one whose features of all texts are cached.

    Raises UsageError where several are.
    """
    spec = e_g.spec if e_g else _cached_t5(workspace, teacher, texts)
    if spec is None:
        return TextEncoder("llm_text", teacher, teacher, None, None)
    identity = _identity(spec)
    return TextEncoder("llm_text", teacher, teacher, identity, identity["dtype"], "e_G")


def _identity(spec: Mapping[str, Any]) -> dict[str, Any]:
    """What of a spec of images or texts says by which encoder texts are encoded, in which dtype.

    Raises ExpclipError where it does not say, as it might in a cache from elsewhere.
    """
    try:
        if "t5" in spec:
            return {part: spec[part] for part in ("t5", "weights", "tokenizer")} | {"dtype": spec["precision"]["t5"]}
        return {part: spec[part] for part in ("architecture", "weights")} | {"dtype": spec["precision"]}
    except (LookupError, TypeError) as error:
        raise ExpclipError(
            f"a store of {spec.get('node')} with the digest {digest(dict(spec))[:12]} does not say which encoder "
            f"made it ({reason(error)}): remove it, and extract again"
        ) from error


def _context(identity: Mapping[str, Any]) -> int:
    """How many tokens a CLIP reads of a text."""
    try:
        return int(identity["architecture"]["text_cfg"]["context_length"])
    except (LookupError, TypeError, ValueError):
        return _CONTEXT


def _cached_t5(workspace: Workspace, teacher: str, texts: Collection[str]) -> dict[str, Any] | None:
    """The spec of the only T5 of a teacher by whose features all texts are cached."""
    by_t5: dict[str, list[tuple[FeatureStore, Sequence[str]]]] = defaultdict(list)
    for store, known in stores_of_texts(workspace, "llm_text", texts, model=canonical_model("llm_text", teacher)):
        by_t5[digest(_identity(store.header.spec))].append((store, known))
    whole = [some for some in by_t5.values() if {text for _, known in some for text in known}.issuperset(texts)]
    stores = [some[0][0] for some in whole]
    if len(stores) > 1:
        raise UsageError(
            f"the prompts have {len(stores)} stores of llm_text by {teacher}, which differ in {differences(stores)}; "
            f"the features that the head was fitted to would tell which it needs: bring them back with "
            f"`expclip cache import`"
        )
    return stores[0].header.spec if stores else None


class Texts:
    """The embeddings of texts for one command: each store is read once, and each new text encoded once."""

    def __init__(self, workspace: Workspace, cached_only: bool = False):
        self._workspace = workspace
        self._cached_only = cached_only
        self._known: dict[str, dict[str, np.ndarray]] = defaultdict(dict)
        """By encoder, (L,) float64 by text."""
        self._cut: dict[str, set[str]] = defaultdict(set)
        """By encoder, the texts of the same whose ends it did not read."""
        self._readings: dict[str, dict[str, Reading]] = defaultdict(dict)
        """By encoder and text, of those that it is yet to encode, and of others beside them."""

    def embeddings(self, encoder: TextEncoder, wanted: Mapping[str, Sequence[str]]) -> dict[str, np.ndarray]:
        """The embeddings (L,) float64 of texts, which are given by the name of what they are needed for.

        Texts that are missing are encoded first; no model is loaded where there are none. Raises UsageError where
        they may not be encoded, or the weights are others by now.
        """
        texts, node = self._asked(encoder, wanted)
        identity = self._encode(texts, node) if node else encoder.identity
        known = self._known[digest(identity)]
        return {text: known[text] for text in texts}

    def width(self, encoder: TextEncoder, wanted: Mapping[str, Sequence[str]]) -> int:
        """How long the embeddings of some texts are or will be; nothing is encoded.

        Raises UsageError where `embeddings` would.
        """
        texts, node = self._asked(encoder, wanted)
        return node.row_shape[0] if node else len(self._known[digest(encoder.identity)][texts[0]])

    def told(self, encoder: TextEncoder, wanted: Mapping[str, Sequence[str]]) -> Told:
        """How some texts are or will be told apart; nothing is encoded. Raises as `embeddings` does."""
        texts, node = self._asked(encoder, wanted)
        if node is None:
            known = self._known[digest(encoder.identity)]
            return Told(
                {text: known[text].tobytes() for text in texts}, frozenset(self._cut[digest(encoder.identity)])
            )
        if node.reads is None:
            return Told({text: text for text in texts}, frozenset())
        readings = self._readings[node.digest]
        new = [text for text in texts if text not in readings]
        readings |= zip(new, node.reads(new), strict=True) if new else ()
        cut = frozenset(text for text in texts if readings[text].is_cut)
        return Told({text: readings[text].tokens for text in texts}, cut)

    def _asked(self, encoder: TextEncoder, wanted: Mapping[str, Sequence[str]]) -> tuple[list[str], Node | None]:
        """The distinct texts, and what encodes those that are missing; None where none is."""
        texts = list(dict.fromkeys(text for some in wanted.values() for text in some))
        missing = self._missing(texts, encoder.identity) if encoder.identity else texts
        if missing and self._cached_only:
            names = ", ".join(name for name, some in wanted.items() if not set(missing).isdisjoint(some))
            raise UsageError(
                f"text features of {names} by {encoder.asked} are not cached: `expclip evaluate` without "
                f"{option('cached_only')} encodes them"
            )
        return texts, self.node(encoder) if missing else None

    def _missing(self, texts: Sequence[str], identity: dict[str, Any]) -> list[str]:
        """Those texts that no finished store of an encoder holds; the others are known afterwards."""
        known, cut = self._known[digest(identity)], self._cut[digest(identity)]
        node = "llm_text" if "t5" in identity else "clip_text"
        unknown = set(texts) - known.keys()
        stores = list(stores_of_texts(self._workspace, node, unknown) if unknown else ())
        if stores:
            self._workspace.cache.tidy([store.path for store, _ in stores])
        for store, held in stores:
            if _identity(store.header.spec) == identity and not unknown.isdisjoint(held):
                rows = zip(held, store.read().astype(np.float64), strict=True)
                known |= {text: row for text, row in rows if text in unknown}
                cut |= unknown.intersection(held[row] for row in store.cut_rows())
                unknown -= known.keys()
        return [text for text in texts if text in unknown]

    def node(self, encoder: TextEncoder) -> Node:
        """What encodes texts. Raises UsageError where its weights are others by now."""

        def make(kept_t5: str | None) -> Node:
            return self._workspace.models.node(encoder.node, encoder.model, dtype=encoder.dtype, kept_t5=kept_t5)

        node = continued(self._workspace.cache, make)
        if encoder.identity and _identity(node.spec) != encoder.identity:
            raise UsageError(
                f"{encoder.asked} has other weights now than those that made {encoder.of}: extract again, or bring "
                f"them back"
            )
        return node

    def _encode(self, texts: Sequence[str], node: Node) -> dict[str, Any]:
        """Encode the texts that are missing; returns the encoder's identity."""
        workspace, identity = self._workspace, _identity(node.spec)
        missing = [(text, 0) for text in self._missing(texts, identity)]
        if missing:
            wanted = [Wanted(text_manifest(TEXT, (TEXT,), missing), (node,))]
            workspace.run(workspace.plan(wanted), wanted, "encode texts")
            self._missing(texts, identity)
        return identity


def stores_of_texts(
    workspace: Workspace, node: str, texts: Iterable[str], **fields: str
) -> Iterator[tuple[FeatureStore, Sequence[str]]]:
    """The finished stores of a node that hold any of some texts, each with the texts that it holds, by row.

    Texts that cannot be read are passed over, and that is said.
    """
    manifests, wanted = workspace.cache.texts(), set(texts)
    note_unreadable_texts(workspace)
    for store in workspace.cache.find(TEXT, node, **fields):
        known = manifests.get(store.header.rows_digest)
        if known and not wanted.isdisjoint(known.rows.sources) and store.is_complete():
            yield store, known.rows.sources
