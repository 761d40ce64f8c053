"""What heads learn from labels: samples that are drawn for each fold, and what a card says of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np

from ..cache.keys import digest
from ..cache.store import FeatureStore
from ..commands.fit_head import FitHead
from ..commands.options import ENSEMBLES
from ..errors import UsageError, option
from ..heads.clip_recipe import TEST_FOLD, VALIDATION, ClassTexts, ClipTraining
from ..heads.kinds import KINDS, LabelledSamples, Progress, SavedHead
from ..heads.recipe import Recipe
from ..heads.shots import RULE, Draw, drawn, first_of_each, refuse_images, refuse_less_than_a_batch, refuse_too_few
from ..heads.unfinished import Unfinished
from ..manifests.folds import folds_digest, learnt_by_fold
from ..manifests.frames import ALL
from ..manifests.manifest import NO_FOLD, NO_LABEL, Manifest
from ..manifests.prompts import PromptSet, prompt_set
from ..manifests.protocols import PROTOCOLS
from ..pipeline.features import read_features
from ..pipeline.reader import Reader
from ..pipeline.texts import Texts, clip_encoder
from ..pipeline.workspace import Workspace
from ..scoring.by_fold import ByFold
from ..scoring.cosines import unit
from ..scoring.ensembles import ClassVectors, Directions
from ..scoring.samples import Samples
from .from_clips import EDGE, class_texts, clip_settings, contexts_of, refuse_selection, sampler_of, selects
from .optimiser import optimiser_of


@dataclass(frozen=True, eq=False)
class Labelled:
    """The labelled samples of a data set, whose features are read when they are needed."""

    manifest: Manifest
    images: FeatureStore
    failed: list[int]
    """The rows that could not be encoded: samples with one of these are not learnt from."""
    frames: str
    model: str
    """Of the features, as the user named it."""
    lists_train: bool
    """Whether the lists of its folds are of what each trains on."""

    @cached_property
    def by_fold(self) -> dict[int, np.ndarray]:
        """The numbers of the samples to learn from, each id once, by the fold that they are not in; else by 0."""
        learnt = learnt_by_fold(self.manifest, self.lists_train)
        return {fold: self._usable(numbers) for fold, numbers in learnt.items()}

    def tested(self, fold: int) -> np.ndarray:
        """The numbers of the samples that a fold tests: those of whose ids none is learnt from for it."""
        learnt = learnt_by_fold(self.manifest, self.lists_train)[fold]
        ids = {self.manifest.sample_ids[number] for number in learnt.tolist()}
        others = [number for number, one in enumerate(self.manifest.sample_ids) if one not in ids]
        return self._usable(np.array(others, dtype=np.int64))

    def _usable(self, numbers: np.ndarray) -> np.ndarray:
        """Those of some samples that have a class and all of their rows, each id once."""
        manifest, clips = self.manifest, self.manifest.samples(self.frames)
        is_read = np.ones(len(manifest.rows), dtype=bool)
        is_read[self.failed] = False
        usable = np.logical_and.reduceat(is_read[clips.indices], clips.offsets[:-1]) & (manifest.labels != NO_LABEL)
        return first_of_each(manifest.sample_ids, numbers[usable[numbers]])

    def refuse(self, heads: tuple[str, ...], request: FitHead) -> None:
        """Raise UsageError where it has no labels, or fewer samples of a class than heads learn from."""
        if not self.manifest.is_labelled:
            raise UsageError(f"{self.manifest.label} has no labels: {', '.join(heads)} learns from them")
        if len(self.manifest.classes) < 2:
            raise UsageError(
                f"{self.manifest.label}: a head tells classes apart: name two or more with {option('classes')}"
            )
        for head in heads:
            refuse_kind(head, self.manifest, [len(one) for one in self.by_fold.values()], request)
        refuse_selection(heads, self.manifest, request)
        for fold, numbers in self.by_fold.items():
            where = self.manifest.label + (f" without fold {fold}" if fold else "")
            for shots in request.shots or (None,):
                for head in heads:
                    draw = draw_of(head, shots, 0, request)
                    labels = self.manifest.labels[numbers]
                    refuse_too_few(where, labels, self.manifest.classes, draw)
                    if KINDS[head].has_steps:
                        learnt, _ = drawn(labels, draw)
                        refuse_less_than_a_batch(len(learnt), optimiser_of(request, "", head)["batch_size"])

    @cached_property
    def _features(self) -> np.ndarray:
        return read_features(self.images, self.manifest).array

    def taken(self, numbers: np.ndarray, frames: str | None = None, **more: Any) -> LabelledSamples:
        """Some samples, by their numbers in the manifest; of clips with other frames than are learnt from, if any."""
        pools = PROTOCOLS[self.images.header.protocol].pools
        samples = Samples(self._features, self.manifest.samples(frames or self.frames), pools).take(numbers)
        return LabelledSamples(samples, self.manifest.labels[numbers].astype(np.int64), self.manifest.classes, **more)

    def _prompts(self, head: str, request: FitHead) -> PromptSet:
        return prompt_set(request.prompts or KINDS[head].prompts, request.protocol).covering(self.manifest.classes)

    def class_texts(self, workspace: Workspace, head: str, request: FitHead) -> ClassTexts:
        """The prompt of each class, and the tower through which what is learnt of them passes."""
        prompts, encoder = self._prompts(head, request), clip_encoder(self.model, self.images.header)
        Reader(workspace, Texts(workspace), encoder).refuse_alike([prompts], self.manifest.classes)
        contexts = contexts_of(head, request)
        return class_texts(workspace, encoder, prompts, self.manifest.classes, contexts, request.device)

    def texts(self, workspace: Workspace, head: str, request: FitHead) -> np.ndarray:
        """(classes, L) float64: the prompts of each class as one direction; those that no store has are encoded."""
        prompts, classes = self._prompts(head, request), self.manifest.classes
        reader = Reader(workspace, Texts(workspace), clip_encoder(self.model, self.images.header))
        reader.refuse_alike([prompts], classes)
        known = reader.embeddings({prompts.name: prompts.texts})
        (found,) = Directions(unit).of([ClassVectors.of(prompts, known, ENSEMBLES[0], classes)])
        return found

    def spec(self, head: str, seed: int | None, shots: int | None, request: FitHead) -> dict[str, Any]:
        """What determines a head that learns from these, beside the features and the optimiser."""
        kind, manifest = KINDS[head], self.manifest
        said: dict[str, Any] = {"labels": manifest.digest, "classes": list(manifest.classes)}
        said |= {"shots": shots, "balanced": request.balanced}
        said |= {"frames": self.frames if manifest.kind == "clips" else "image"}
        if holds_out(head, request):
            said |= {"validation": request.validation, "validation_rule": RULE}
        if kind.prompts:
            prompts = self._prompts(head, request)
            texts = digest({name: list(prompts.prompts[name]) for name in manifest.classes})
            said |= {"prompts": {"name": prompts.name, "texts": texts, "ensemble": ENSEMBLES[0]}}
        if uses_seed(head, shots):
            said["seed"] = seed
        if list(self.by_fold) != [NO_FOLD]:
            said["folds"] = {"numbers": list(self.by_fold), "digest": folds_digest(manifest, self.lists_train)}
        settings = {**kind.trainer.settings, **clip_settings(head, self.frames, request)}
        return said | ({"settings": settings} if settings else {})


def refuse_kind(head: str, manifest: Manifest, counts: Sequence[int], request: FitHead) -> None:
    """Raise UsageError where a head takes clips and these are images, or where it learns from fewer than a batch."""
    kind = KINDS[head]
    if kind.most_frames:
        refuse_images(head, are_clips=manifest.kind == "clips")
    if not kind.has_steps:
        return
    size = optimiser_of(request, "", head)["batch_size"]
    shots = min(request.shots, default=0) * len(manifest.classes)
    fewest = shots or min(counts)
    refuse_less_than_a_batch(fewest, size)


def uses_seed(head: str, shots: int | None) -> bool:
    """Whether something of a head is drawn."""
    return KINDS[head].has_steps or KINDS[head].validates or shots is not None


def holds_out(head: str, request: FitHead) -> bool:
    """Whether a head chooses something by labelled samples that it does not learn from."""
    return KINDS[head].validates or selects(head, request) == VALIDATION


def draw_of(head: str, shots: int | None, seed: int, request: FitHead, fold: int = NO_FOLD) -> Draw:
    """How samples are drawn for a head, of a data set without a fold."""
    return Draw(shots, request.validation if holds_out(head, request) else None, (seed, fold))


@dataclass(frozen=True, eq=False)
class LabelFit:
    """One head from labels: what it learns from, and how it is fitted."""

    labelled: Labelled
    head: str
    shots: int | None
    seed: int
    request: FitHead
    texts: np.ndarray | None = None
    """(classes, L) for kinds that need prompts as they are."""
    prompts: ClassTexts | None = None
    """For kinds that learn something of them."""
    unfinished: Mapping[int, Unfinished] = field(default_factory=dict)
    """Where the fit of each fold keeps what it has reached."""

    def content(self, fold: int) -> LabelledSamples:
        """What is learnt from, with what is held out."""
        labelled, request = self.labelled, self.request
        numbers = labelled.by_fold[fold]
        draw = draw_of(self.head, self.shots, self.seed, request, fold)
        learnt, held_out = drawn(labelled.manifest.labels[numbers], draw)
        common = {"balanced": request.balanced, "texts": self.texts}
        judges = numbers[held_out] if draw.share is not None else None
        if selects(self.head, request) == TEST_FOLD:
            judges = labelled.tested(fold)
        frames = EDGE if KINDS[self.head].texts and labelled.frames == ALL else None
        validation = None if judges is None else labelled.taken(judges, frames, **common)
        return labelled.taken(numbers[learnt], validation=validation, training=self._training(fold), **common)

    def _training(self, fold: int) -> ClipTraining | None:
        if not KINDS[self.head].texts:
            return None
        contexts, sampler = contexts_of(self.head, self.request), sampler_of(self.labelled.frames, self.request)
        return ClipTraining(self.prompts, contexts, sampler, self.unfinished.get(fold))

    def fit(self, recipe: Recipe, progress: Progress) -> SavedHead:
        """The head; of a data set of folds one for each."""
        trainer, folds = KINDS[self.head].trainer, list(self.labelled.by_fold)

        def show(k: int, done: int, total: int) -> None:
            progress(k * total + done, len(folds) * total)

        heads = {fold: trainer.fit(self.content(fold), recipe, partial(show, k)) for k, fold in enumerate(folds)}
        if folds == [NO_FOLD]:
            return heads[NO_FOLD]
        losses = [one.losses_ for one in heads.values()]
        of_epochs = np.mean(losses, axis=0).tolist() if len({len(one) for one in losses}) == 1 else []
        return ByFold(
            heads, of_epochs, _mean_steps([getattr(one, "step_losses_", []) for one in heads.values()], recipe)
        )


def _mean_steps(by_fold: Sequence[Sequence[float]], recipe: Recipe) -> list[float]:
    """The mean over folds of the loss of each step that an epoch has in all of them; empty without steps."""
    if not all(by_fold) or any(len(one) % recipe.epochs for one in by_fold):
        return []
    epochs = [np.reshape(one, (recipe.epochs, -1)) for one in by_fold]
    steps = min(one.shape[1] for one in epochs)
    return np.mean([one[:, :steps] for one in epochs], axis=0).ravel().tolist()
