"""What is compared: needs, then one plan, then arrays."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...cache.header import Header
from ...cache.store import FeatureStore
from ...commands.evaluate import NO_PREDICTIONS, Evaluate
from ...errors import ExpclipError
from ...heads.saving import HeadCard
from ...manifests.manifest import Manifest
from ...manifests.prompts import PromptSet
from ...manifests.protocols import PROTOCOLS
from ...pipeline.checks import refuse_unknown_datasets, refuse_unknown_models
from ...pipeline.features import read_features
from ...pipeline.needs import Need, Needs
from ...pipeline.reader import Reader
from ...pipeline.texts import TextEncoder, Texts, clip_encoder, t5_encoder
from ...pipeline.workspace import Workspace
from ...scoring.adaptation import Adaptation
from ...scoring.by_fold import folds_of
from ...scoring.compare import Comparison, Scorable
from ...scoring.cosines import PlainClip, unit
from ...scoring.ensembles import ClassVectors, Directions, way_of_texts
from ...scoring.samples import Classifier, Head
from ...scoring.scores import PLAIN, Combination
from .adapting import adaptations, note_unadapted, refuse_unadaptable
from .asked import CLIP, LLM, NO_HEAD, Asked, Known, as_scored, needed, prompt_sets_of
from .fitting import refuse_other_output
from .notes import note_left_out, note_unused_options
from .own_heads import without_head, zero_shot_name


@dataclass(frozen=True, eq=False)
class Compared:
    """All that is compared on one data set under one backbone, or under the LLM alone."""

    comparisons: list[Comparison]
    plain: Comparison | None
    """The backbone without a head, whether or not it is among them: what gains are over. None where it has none."""
    reader: Reader
    """What reads further texts, and encodes those that are missing."""
    ways: Sequence[Adaptation | None]
    """How each comparison is adapted; None is as it is."""
    stores: Sequence[FeatureStore] = ()
    """Where the features of its images are."""


def compared(
    request: Evaluate, refuse: Callable[[Manifest], None] = lambda manifest: None, said: set[str] | None = None
) -> Iterator[Compared]:
    """Everything that a request compares; features that are missing are made by one plan before the first.

    All that is cheap to check comes before that; `refuse` is what else is asked of every data set. What was `said`
    of data sets is not said again.
    """
    workspace = Workspace.of(request, request.datasets)
    workspace = workspace if said is None else replace(workspace, said=said)
    refuse_unknown_models(
        request, "clip", *(["teacher", "instruction"] if LLM in request.image + request.text else [])
    )
    refuse_unknown_datasets(workspace, request, request.datasets)
    prompt_sets = prompt_sets_of(request)
    view = partial(as_scored, prompt_sets, workspace.chosen)
    needs = Needs(workspace, makes=not request.cached_only, view=view)
    ways = adaptations(request)
    asked = Asked(request, workspace, needs)
    manifests = [needs.manifest(dataset) for dataset in asked.datasets]
    for manifest in manifests:
        refuse(manifest)
        refuse_unadaptable(manifest, prompt_sets, ways)
    found = _Found(request, workspace, needs, prompt_sets, asked, ways)
    found.refuse_texts()
    note_unused_options(request, asked, manifests, prompt_sets)
    note_left_out(asked)
    note_unadapted(ways, asked)
    found.make()
    for dataset in asked.datasets:
        for need, heads in asked.heads[dataset].items():
            yield found.compared(need, heads)
        if (LLM, LLM) in asked.sides:
            yield from (found.llm_alone(need) for need in asked.llm_alone[dataset])
        found.forget()


@dataclass
class _Found:
    """The features that a request means, as arrays. The samples of a data set are read once."""

    request: Evaluate
    workspace: Workspace
    needs: Needs
    prompt_sets: list[PromptSet]
    asked: Asked
    ways: Sequence[Adaptation | None]
    _stores: Mapping[Need, tuple[Manifest, FeatureStore]] = field(default_factory=dict)
    _samples: dict[Path, tuple[Scorable, Header]] = field(default_factory=dict)
    """By store: several needs may mean one."""
    _directions: dict[tuple[str, ...], Directions] = field(default_factory=dict)
    """Of texts, by head, sides and encoder: the same for all data sets."""

    def __post_init__(self) -> None:
        self._texts = Texts(self.workspace, self.request.cached_only)
        self.sides = self.asked.sides

    @property
    def _has_clip_texts(self) -> bool:
        """Whether CLIP encodes prompts."""
        return any(text == CLIP for _, text in self.sides)

    def make(self) -> None:
        """Make the features of images that are missing."""
        self._stores = self.needs.stores()

    def refuse_texts(self) -> None:
        """Raise UsageError where prompts cannot be encoded, or no head leads to where they or e_G are."""
        for dataset in self.asked.datasets:
            manifest = self.needs.manifest(dataset)
            for need, heads in self.asked.heads[dataset].items():
                images = self.asked.headers[need]
                if self._has_clip_texts:
                    self._refuse_alike(manifest, clip_encoder(need.model, images))
                for known in heads:
                    self._refuse_other_output(manifest, images, known)
            for need in self.asked.llm_alone[dataset]:
                self._refuse_alike(manifest, self._t5(manifest, need.model, self.asked.headers[need]))

    def _refuse_other_output(self, manifest: Manifest, images: Header, known: Known) -> None:
        if known.card and known.e_g:
            width = self.asked.headers[known.e_g].width
            refuse_other_output(known.card, known.head, images, width, f"e_G of {known.card.teacher}")
        if known.card and known.teaching and (CLIP, LLM) in self.sides:
            t5 = self._t5(manifest, known.teaching.teacher, known.teaching.features)
            self._refuse_alike(manifest, t5)
            width = self._reader(t5).width(self._covering(manifest))
            refuse_other_output(known.card, known.head, images, width, f"the T5 of {known.card.teacher}")

    def forget(self) -> None:
        """Let the samples of a data set go."""
        self._samples.clear()

    def samples(self, need: Need) -> tuple[Scorable, Header]:
        """The samples of a data set with their features."""
        manifest, store = self._stores[need]
        if store.path not in self._samples:
            features = read_features(store, manifest)
            clips, pools = manifest.samples(self.request.frames), PROTOCOLS[store.header.protocol].pools
            scorable = Scorable.of(manifest, features.array, features.mask, clips, pools)
            self._samples[store.path] = scorable, store.header
        return self._samples[store.path]

    def compared(self, need: Need, heads: Sequence[Known]) -> Compared:
        """A data set under one backbone."""
        scorable, header = self.samples(need)
        encoder = clip_encoder(need.model, header)
        texts = self._vectors(scorable.manifest, encoder) if self._has_clip_texts else []
        without = self._without_head(need, heads, scorable.manifest, header)
        plain = self._comparison(None, without, (scorable, header), texts) if without else None
        found: list[Comparison] = []
        for known in heads:
            card, head = known.card, known.head
            if card is None and plain:
                found.append(plain)
            elif (CLIP, CLIP) in self.sides:
                found.append(self._comparison(card, head, (scorable, header), texts))
            if (CLIP, LLM) in self.sides and known.teaching:
                by_t5 = self._t5_vectors(scorable.manifest, known.teaching.teacher, known.teaching.features)
                found.append(self._comparison(card, head, (scorable, header), by_t5, text=LLM))
            if known.e_g:
                found.append(self._comparison(card, head, self.samples(known.e_g), texts, image=LLM))
        over = plain if (CLIP, CLIP) in self.sides else None
        needs = dict.fromkeys([need, *(known.e_g for known in heads if known.e_g)])
        stores = [self._stores[one][1] for one in needs]
        return Compared(found, over, self._free_reader(encoder), self.ways, stores)

    def _without_head(self, need: Need, heads: Sequence[Known], manifest: Manifest, header: Header) -> Head | None:
        """What gains are over. Where it is not scored itself it may be lacking, which is said."""
        known = [one.head for one in heads if one.card is None]
        if known or (CLIP, CLIP) not in self.sides:
            return known[0] if known else None  # pyright: ignore[reportReturnType]
        try:
            return without_head(self.workspace, need, header, manifest)
        except ExpclipError as error:
            if self.request.intervals:
                self.workspace.remark(header.model, f"gains over it without a head are not said: {error.as_typed}")
            return None

    def llm_alone(self, need: Need) -> Compared:
        """A data set by its e_G, and prompts by the teacher's T5."""
        scorable, header = self.samples(need)
        texts = self._t5_vectors(scorable.manifest, need.model, header)
        encoder = t5_encoder(self.workspace, need.model, header, ())
        alone = self._comparison(None, PlainClip(), (scorable, header), texts, LLM, LLM)
        return Compared([alone], None, self._free_reader(encoder), self.ways, [self._stores[need][1]])

    def _comparison(
        self,
        card: HeadCard | None,
        head: Head | Classifier,
        samples: tuple[Scorable, Header],
        texts: Sequence[ClassVectors],
        image: str = CLIP,
        text: str = CLIP,
    ) -> Comparison:
        """Samples and texts, each on one side of a head."""
        scorable, header = samples
        of_samples = PlainClip() if image == LLM else head
        folds = folds_of(of_samples)
        scorable = scorable.within(folds) if folds else scorable
        of = self._of(card, scorable, header, image, text)
        known_as = of.head_id, image, text, header.encoder_digest
        lead = unit if isinstance(of_samples, Classifier) else of_samples.directions
        directions = self._directions.setdefault(known_as, Directions(_way(head, image, text), lead))
        with_cosines = self.request.predictions != NO_PREDICTIONS
        return Comparison(of, scorable, of_samples, directions, texts, with_cosines)

    def _reader(self, encoder: TextEncoder) -> Reader:
        return Reader(self.workspace, self._texts, encoder)

    def _free_reader(self, encoder: TextEncoder) -> Reader:
        """One that may encode what is missing, also where no image may be."""
        return Reader(self.workspace, Texts(self.workspace), encoder)

    def _covering(self, manifest: Manifest) -> list[PromptSet]:
        asked = needed(manifest, self.workspace.chosen)
        return [one.covering(manifest.classes, asked) for one in self.prompt_sets]

    def _refuse_alike(self, manifest: Manifest, encoder: TextEncoder) -> None:
        self._reader(encoder).refuse_alike(self._covering(manifest), manifest.classes)

    def _vectors(self, manifest: Manifest, encoder: TextEncoder) -> list[ClassVectors]:
        covering = self._covering(manifest)
        known = self._reader(encoder).embeddings({one.name: one.texts for one in covering})
        return [ClassVectors.of(one, known, self.request.ensemble, manifest.classes) for one in covering]

    def _t5(self, manifest: Manifest, teacher: str, e_g: Header | None) -> TextEncoder:
        texts = {text for one in self._covering(manifest) for text in one.texts}
        return t5_encoder(self.workspace, teacher, e_g, texts)

    def _t5_vectors(self, manifest: Manifest, teacher: str, e_g: Header | None) -> list[ClassVectors]:
        return self._vectors(manifest, self._t5(manifest, teacher, e_g))

    def _backbone(self, header: Header) -> str:
        """What a model is called; with digits of its digest where another of its name is compared too."""
        headers = (one for one in self.asked.headers.values() if one.node == header.node)
        alike = {one.encoder_digest for one in headers if one.model == header.model}
        return (
            f"{header.model} {header.encoder_digest[:8]}"
            if len(alike) > 1 and not header.instruction
            else header.model
        )

    def _of(
        self, card: HeadCard | None, scorable: Scorable, header: Header, image: str = CLIP, text: str = CLIP
    ) -> Combination:
        """What is compared; its prompts are filled in later."""
        known: dict[str, Any] = {"objective": "", "teacher": header.model if image == LLM else ""}
        known |= {"instruction": header.instruction, "train": "", "recipe": "", "seed": None}
        known |= {name: getattr(card, name) for name in known} if card else {}
        return Combination(
            dataset=scorable.manifest.label,
            backbone=card.backbone if card and image == LLM else self._backbone(header),
            head=card.name if card else NO_HEAD,
            head_id=card.id if card else "",
            **known,
            image=image,
            text=text,
            prompts="",
            ensemble="",
            protocol=header.protocol,
            frames=self.request.frames if scorable.manifest.kind == "clips" else "",
            untrained=header.untrained or (card is not None and card.untrained),
            labels_of=scorable.manifest.origin.read,
            only_folds=", ".join(map(str, scorable.only)),
            zero_shot=zero_shot_name(header, scorable.manifest) if header.node == "clip_image" else PLAIN,
        )


def _way(head: Head | Classifier, image: str, text: str) -> Callable[[np.ndarray], np.ndarray]:
    """How embeddings of texts (m, L) become unit vectors (m, L') where samples are compared with them."""
    return unit if text == LLM else way_of_texts(head)  # no head leads there
