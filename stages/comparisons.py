"""What `expclip evaluate` compares: samples and prompts, by way of a head where one of them is CLIP's."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from ..cache.store import FeatureStore
from ..encoders.names import DEFAULT_TEACHER
from ..errors import UsageError
from ..heads.cosines import Head
from ..heads.files import HeadCard, all_heads, find_head, load_head
from ..heads.linear import PlainClip
from ..manifests.prompts import PromptSet
from ..reports.scores import Combination, Predictions
from .features import Choice
from .samples import Samples, image_features
from .scoring import CLIP, LLM, NO_HEAD, Scoring
from .teacher_side import TeacherSide, Teaching
from .texts import PromptEmbeddings, clip_encoder, prompt_embeddings
from .workspace import Workspace


@dataclass(frozen=True, eq=False)
class Comparison:
    """Samples and prompts that are compared, by way of a head where one of them is CLIP's."""

    samples: Samples
    texts: Sequence[PromptEmbeddings]
    card: HeadCard | None
    head: Head
    image: str = CLIP
    text: str = CLIP
    plain: Mapping[str, np.ndarray] = field(default_factory=dict)
    """By prompt set, the classes (n,) that CLIP predicts without a head; only where a gain over it is wanted."""

    def predict(self) -> Iterator[Predictions]:
        """For each prompt set, the cosines between samples and prompts, averaged over the prompts of each class.

        All prompt sets are compared at once: the lengths of the projected samples are the same for all of them.
        """
        samples, prompt_sets = self.samples, self.texts
        classes = samples.manifest.classes
        texts, labels = zip(*(prompts.by_class(classes) for prompts in prompt_sets), strict=True)
        cosines = self._cosines(np.concatenate(texts))
        ends = np.cumsum([len(one) for one in labels])[:-1]
        for prompts, label, cosine in zip(prompt_sets, labels, np.split(cosines, ends, axis=1), strict=True):
            of_class = (label[:, None] == np.arange(len(classes))).astype(np.float64)
            similarity = cosine @ (of_class / of_class.sum(axis=0))
            yield Predictions(self._combination(prompts), samples.manifest, samples.kept, similarity)

    def _cosines(self, texts: np.ndarray) -> np.ndarray:
        """(n, m) of the samples and text embeddings (m, width), both in one space."""
        if self.image == self.text == CLIP:
            return self.samples.similarity(self.head, texts)
        if self.image == CLIP:
            return PlainClip().similarity(self.samples.projected(self.head), texts)
        return self.samples.similarity(PlainClip(), self.head.transform(texts) if self.text == CLIP else texts)

    def _combination(self, prompts: PromptEmbeddings) -> Combination:
        samples, card = self.samples, self.card
        header = samples.header
        return Combination(
            dataset=samples.manifest.name,
            backbone=card.backbone if card and self.image == LLM else header.model,
            head=card.head if card else NO_HEAD,
            head_id=card.id if card else "",
            objective=card.objective if card else "",
            teacher=card.teacher if card else header.model if self.image == LLM else "",
            instruction=card.instruction if card else header.instruction,
            train=card.train if card else "",
            recipe=card.recipe if card else "",
            seed=card.seed if card else None,
            prompts=prompts.name,
            ensemble=prompts.ensemble,
            protocol=header.protocol,
            frames=samples.frames,
            untrained=header.untrained or (card is not None and card.untrained),
            image=self.image,
            text=self.text,
        )


def comparisons(
    workspace: Workspace, text: str, scoring: Scoring, prompt_sets: Sequence[PromptSet]
) -> Iterator[Comparison]:
    """Everything that is compared on a data set."""
    sides = set(product(scoring.images, scoring.texts))
    llm = TeacherSide(workspace, text, scoring, prompt_sets)
    for clip in dict.fromkeys(scoring.clips) if sides != {(LLM, LLM)} else ():
        choice = Choice(text, "clip_image", clip, None, workspace.protocol, workspace.dtype, scoring.frames)
        manifest, store = image_features(workspace, choice, scoring, prompt_sets)
        samples = Samples(manifest, store, scoring.frames)
        encoder = clip_encoder(workspace, clip, store.header)
        covering = [one.covering(manifest.classes) for one in prompt_sets]
        texts = prompt_embeddings(workspace, covering, scoring.ensemble, encoder, scoring.cached_only)
        plain = _plain_predictions(samples, texts) if scoring.intervals and (CLIP, CLIP) in sides else {}
        for card, head in _heads(workspace, scoring, store):
            if (CLIP, CLIP) in sides:
                yield Comparison(samples, texts, card, head, plain=plain)
            if (CLIP, LLM) in sides and card:
                yield Comparison(samples, llm.texts(llm.teaching(card), manifest.classes), card, head, text=LLM)
            if (LLM, CLIP) in sides and card:
                yield Comparison(llm.samples(llm.teaching(card), card), texts, card, head, image=LLM)
    if (LLM, LLM) in sides:
        for instruction in dict.fromkeys(scoring.instructions):
            samples = llm.samples(Teaching(scoring.teacher or DEFAULT_TEACHER, instruction, None))
            teaching = Teaching(scoring.teacher or DEFAULT_TEACHER, instruction, samples.header)
            yield Comparison(samples, llm.texts(teaching, samples.manifest.classes), None, PlainClip(), LLM, LLM)


def _heads(workspace: Workspace, scoring: Scoring, store: FeatureStore) -> Iterator[tuple[HeadCard | None, Head]]:
    """The heads to score on some features, plain CLIP first."""
    wanted = scoring.heads
    if wanted is None or NO_HEAD in wanted:
        yield None, PlainClip()
    known = list(all_heads(workspace.cache.heads))
    for name in dict.fromkeys(wanted or ()):
        if name == NO_HEAD:
            continue
        path, card = find_head(name, known)
        if card.clip_digest != store.header.encoder_digest:
            raise UsageError(
                f"head {card.id} was trained on {card.backbone} features {card.clip_digest[:12]} ({card.protocol}); "
                f"{store.header.dataset} has {store.header.model} features {store.header.encoder_digest[:12]} "
                f"({store.header.protocol}): extract with the same weights, precision and protocol"
            )
        yield card, load_head(path, card)
    if wanted is None:
        for folder, card in known:
            if card.clip_digest == store.header.encoder_digest:
                yield card, load_head(folder, card)


def _plain_predictions(samples: Samples, texts: Sequence[PromptEmbeddings]) -> dict[str, np.ndarray]:
    """By prompt set, the classes (n,) that CLIP predicts without a head."""
    return {one.of.prompts: one.predicted for one in Comparison(samples, texts, None, PlainClip()).predict()}
