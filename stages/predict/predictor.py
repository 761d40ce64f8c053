"""What predicts: the heads of one recipe, or a model as it is, and the prompts of some classes."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...commands.predict import Predict
from ...errors import UsageError, option
from ...heads.choosing import NO_HEAD
from ...heads.recipe import LOGIT_SCALE
from ...manifests.classes import CLASSES, are_common
from ...manifests.manifest import NO_LABEL, Clips, Manifest
from ...manifests.prompts import PromptSet
from ...manifests.protocols import PROTOCOLS
from ...pipeline.reader import Reader
from ...pipeline.texts import Texts, clip_encoder
from ...pipeline.workspace import Workspace
from ...reports.predicted import Recipe
from ...scoring.by_fold import text_scale
from ...scoring.compare import Comparison, Scorable
from ...scoring.cosines import unit
from ...scoring.ensembles import ClassVectors, Directions, way_of_texts
from ...scoring.probabilities import together
from ...scoring.samples import Classifier, Head, Samples
from ...scoring.scores import PLAIN, Combination
from ..evaluate.own_heads import without_head, zero_shot_name
from .chosen_head import chosen, without_seed
from .gathered import Asked, Gathered, Pictures

_USUAL = CLASSES[:7]


def classes_of(workspace: Workspace, asked: Sequence[Asked], prompts: PromptSet) -> tuple[str, ...]:
    """The classes that are told apart: those that are named, those that all data sets have, or the usual ones."""
    if workspace.chosen:
        return workspace.chosen
    found = {one.manifest.classes for one in asked}
    own = found.pop() if len(found) == 1 else ()
    are_own = own and (workspace.classes is None or not are_common(workspace.classes))
    return own if are_own and all(name in prompts.covering(own, ()).prompts for name in own) else _USUAL


class Predictor:
    """Probabilities of samples. Raises UsageError where no head is meant, or prompts cannot be told apart."""

    def __init__(
        self, request: Predict, workspace: Workspace, prompts: PromptSet, classes: tuple[str, ...], gathered: Gathered
    ):
        self.classes = classes
        self._request, self._workspace = request, workspace
        self._first = gathered.asked[0]
        self._texts = Texts(workspace)
        self._vectors: dict[str, ClassVectors] = {}
        """By the digest of the encoder."""
        every = [chosen(request, workspace, self.seen(one.manifest), one.header) for one in gathered.every]
        self._cards, self._heads = every[0].cards, every[0].heads or (None,)
        if any(one.cards != self._cards for one in every):
            raise UsageError(
                f"other heads fit {gathered.every[0].manifest.label} than another of these: name one with "
                f"{option('head')}, or {option('head')} {NO_HEAD}"
            )
        has_prompts = any(not isinstance(head, Classifier) or text_scale(head) is not None for head in self._heads)
        self._prompts = prompts.covering(classes, classes) if has_prompts else None
        if self._prompts:
            for one in gathered.every:
                self._reader(one).refuse_alike([self._prompts], classes)

    def seen(self, manifest: Manifest) -> Manifest:
        """A data set in which these classes are told apart."""
        if manifest.classes == self.classes:
            return manifest
        new = [self.classes.index(name) if name in self.classes else NO_LABEL for name in manifest.classes]
        return replace(
            manifest, classes=self.classes, labels=np.array([*new, NO_LABEL], dtype=np.int16)[manifest.labels]
        )

    def samples(self, manifest: Manifest) -> Clips:
        """The rows of each sample."""
        return manifest.samples(self._request.frames)

    def probabilities(self, pictures: Pictures, temperature: float) -> np.ndarray:
        """(samples, classes), NaN where a row failed."""
        clips = self.samples(pictures.manifest)
        found = np.full((len(clips), len(self.classes)), np.nan)
        numbers = pictures.readable(clips)
        if len(numbers):
            found[numbers] = together(self.logits(pictures, clips.take(numbers)), temperature)
        return found

    def of_frames(self, pictures: Pictures, temperature: float) -> np.ndarray | None:
        """(rows, classes) of each frame alone, NaN where it failed; None where single frames are no clips."""
        if zero_shot_name(pictures.header, pictures.manifest) != PLAIN and self._heads == (None,):
            return None
        every = np.arange(len(pictures.features))
        numbers = pictures.readable(Clips(np.arange(len(every) + 1), every))
        found = np.full((len(every), len(self.classes)), np.nan)
        if len(numbers):
            one_each = Clips(np.arange(len(numbers) + 1), numbers)
            found[numbers] = together(self.logits(pictures, one_each), temperature)
        return found

    def logits(self, pictures: Pictures, clips: Clips) -> np.ndarray:
        """(heads, n, classes) of samples by their rows, all of which could be encoded."""
        return np.stack([self._of_head(head, pictures, clips) for head in self._heads])

    def _of_head(self, head: Head | Classifier | None, pictures: Pictures, clips: Clips) -> np.ndarray:
        manifest, header = self.seen(pictures.manifest), pictures.header
        used = head or without_head(self._workspace, pictures.need, header, manifest)
        is_classifier = isinstance(used, Classifier)
        samples = Samples(pictures.features, clips, PROTOCOLS[header.protocol].pools)
        scorable = Scorable(manifest, samples, np.arange(len(clips)), np.arange(0))
        directions = Directions(way_of_texts(used), unit if is_classifier else used.directions)
        texts = [self._class_vectors(pictures)] if self._prompts else []
        (one,) = Comparison(_combination(pictures), scorable, used, directions, texts, with_cosines=True).predictions
        assert one.similarity is not None
        return one.similarity * (1.0 if is_classifier else LOGIT_SCALE)

    def _class_vectors(self, pictures: Pictures) -> ClassVectors:
        assert self._prompts is not None
        key = pictures.header.encoder_digest
        if key not in self._vectors:
            known = self._reader(pictures).embeddings({self._prompts.name: self._prompts.texts})
            self._vectors[key] = ClassVectors.of(self._prompts, known, self._request.ensemble, self.classes)
        return self._vectors[key]

    def _reader(self, of: Asked | Pictures) -> Reader:
        return Reader(self._workspace, self._texts, clip_encoder(of.need.model, of.header))

    def recipe(self, temperature: float, fitted_on: str) -> Recipe:
        """What predicts."""
        cards, first = self._cards, self._first
        kind = zero_shot_name(first.header, first.manifest)
        name = f"{without_seed(cards[0])} head" if cards else kind
        untrained = first.header.untrained or any(card.untrained for card in cards)
        prompts = self._prompts.name if self._prompts else ""
        ids = tuple(card.id for card in cards)
        return Recipe(first.header.model, name, ids, prompts, temperature, fitted_on, untrained)


def _combination(pictures: Pictures) -> Combination:
    """What a message calls a comparison."""
    named = ("objective", "teacher", "instruction", "train", "recipe", "prompts", "ensemble", "frames")
    known = {"dataset": pictures.manifest.label, "backbone": pictures.header.model, "head": NO_HEAD, "head_id": ""}
    sides = {"image": "clip", "text": "clip", "protocol": pictures.header.protocol}
    return Combination(**known, **dict.fromkeys(named, ""), **sides, seed=None, untrained=pictures.header.untrained)
