"""`expclip evaluate`: zero-shot scores of cached test features, over every combination of prompts and heads."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

import numpy as np

from ..cache.store import FeatureStore
from ..encoders.names import DEFAULT_CLIP, DEFAULT_TEACHER
from ..encoders.node import Node
from ..errors import UsageError
from ..heads.cosines import Head, clip_similarity, projected_clips
from ..heads.files import HeadCard, all_heads, find_head, load_head
from ..heads.linear import PlainClip
from ..manifests.manifest import NO_FOLD, NO_LABEL, Manifest
from ..manifests.prompts import DEFAULT_INSTRUCTION, PROMPT_SETS, PromptSet, prompt_set
from ..pipeline.plan import Request
from ..reports.bootstrap import paired_difference, score_interval
from ..reports.metrics import confusion_matrix
from ..reports.results import write_results
from ..reports.scores import ALL, Certainty, Combination, Predictions, Score, mean_over_folds, score
from .features import Choice, complete_store, known_manifest, read_features
from .teacher_side import Teaching, e_g_choice, refuse_other_e_g, t5_encoder, teaching_of
from .texts import ENSEMBLES, PromptEmbeddings, clip_encoder, prompt_embeddings
from .workspace import Workspace

NO_HEAD = "none"
CLIP, LLM = SIDES = ("clip", "llm")
"""What encodes images, and what encodes prompts. The projection leads from CLIP's space to the LLM's."""


@dataclass(frozen=True)
class Scoring:
    """The options that may be repeated: every combination is scored."""

    clips: Sequence[str] = (DEFAULT_CLIP,)
    heads: Sequence[str] | None = None
    """Head ids, folders, files or `none`; by default `none` and all heads of the cache that match."""
    prompts: Sequence[str] = PROMPT_SETS
    frames: str = "released"
    cached_only: bool = False
    images: Sequence[str] = (CLIP,)
    texts: Sequence[str] = (CLIP,)
    teacher: str | None = None
    instructions: Sequence[str] = (DEFAULT_INSTRUCTION,)
    """Of e_G where no head says which it is: where the LLM encodes images and texts."""
    ensemble: str = "logits"
    """How the prompts of a class become one: see PromptEmbeddings."""
    intervals: bool = True
    """Whether 95 % intervals, and gains over plain CLIP, are computed."""

    def __post_init__(self) -> None:
        for option, sides in (("--image", self.images), ("--text", self.texts)):
            for side in sides:
                if side not in SIDES:
                    raise UsageError(f"{option} {side!r}: choose {' or '.join(SIDES)}")
        if self.ensemble not in ENSEMBLES:
            raise UsageError(f"--ensemble {self.ensemble!r}: choose {' or '.join(ENSEMBLES)}")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All scores of a sweep, and the predictions behind them."""

    scores: list[Score]
    predictions: list[Predictions]


def evaluate(
    workspace: Workspace, datasets: Sequence[str], scoring: Scoring | None = None, out: Path | None = None
) -> Evaluation:
    """Score every combination of data sets, backbones, heads and prompt sets; write the results to `out`.

    Features that are missing are extracted first, unless `cached_only`. Raises UsageError where a data set has no
    labels, a head belongs to other features, or something is missing that may not be extracted.
    """
    scoring = scoring or Scoring()
    prompt_sets = _prompt_sets(scoring, workspace.protocol)
    if out is not None and out.exists() and not out.is_dir():
        raise UsageError(f"--out {out}: this is a file; a folder is needed")
    found = Evaluation([], [])
    for text in dict.fromkeys(datasets):
        for compared in _comparisons(workspace, text, scoring, prompt_sets):
            for predictions in _predict(compared):
                found.predictions.append(predictions)
                found.scores.extend(_scores(compared, predictions, scoring.intervals))
    if not found.scores:
        raise UsageError("no head of the cache matches, and without one there is nothing to compare: fit one first")
    if out is not None:
        write_results(found.scores, found.predictions, out)
    return found


def _prompt_sets(scoring: Scoring, protocol: str) -> list[PromptSet]:
    """The prompt sets of a sweep. Raises UsageError where two have one name: results are told apart by it."""
    found: dict[str, PromptSet] = {}
    for name in dict.fromkeys(scoring.prompts):
        prompts = prompt_set(name, protocol)
        if found.setdefault(prompts.name, prompts) != prompts:
            raise UsageError(f"--prompts {name}: another prompt set is called {prompts.name} too: rename the file")
    return list(found.values())


@dataclass(frozen=True, eq=False)
class _Compared:
    """Samples and prompts that are compared, by way of a head where one of them is CLIP's."""

    samples: "_Samples"
    texts: Sequence[PromptEmbeddings]
    card: HeadCard | None
    head: Head
    image: str = CLIP
    text: str = CLIP
    plain: Mapping[str, np.ndarray] = field(default_factory=dict)
    """By prompt set, the classes (n,) that CLIP predicts without a head; only where a gain over it is wanted."""

    def cosines(self, texts: np.ndarray) -> np.ndarray:
        """(n, m) of the samples and text embeddings (m, width), both in one space."""
        if self.image == self.text == CLIP:
            return self.samples.similarity(self.head, texts)
        if self.image == CLIP:
            return PlainClip().similarity(self.samples.projected(self.head), texts)
        return self.samples.similarity(PlainClip(), self.head.transform(texts) if self.text == CLIP else texts)


def _comparisons(
    workspace: Workspace, text: str, scoring: Scoring, prompt_sets: Sequence[PromptSet]
) -> Iterator[_Compared]:
    """Everything that is compared on a data set."""
    sides = set(product(scoring.images, scoring.texts))
    llm = _LLMSide(workspace, text, scoring, prompt_sets)
    for clip in dict.fromkeys(scoring.clips) if sides != {(LLM, LLM)} else ():
        choice = Choice(text, "clip_image", clip, None, workspace.protocol, workspace.dtype, scoring.frames)
        manifest, store = _image_features(workspace, choice, scoring, prompt_sets)
        samples = _Samples(manifest, store, scoring.frames)
        encoder = clip_encoder(workspace, clip, store.header)
        texts = prompt_embeddings(workspace, prompt_sets, scoring.ensemble, encoder, scoring.cached_only)
        plain = _plain_predictions(samples, texts) if scoring.intervals and (CLIP, CLIP) in sides else {}
        for card, head in _heads(workspace, scoring, store):
            if (CLIP, CLIP) in sides:
                yield _Compared(samples, texts, card, head, plain=plain)
            if (CLIP, LLM) in sides and card:
                yield _Compared(samples, llm.texts(llm.teaching(card)), card, head, text=LLM)
            if (LLM, CLIP) in sides and card:
                yield _Compared(llm.samples(llm.teaching(card), card), texts, card, head, image=LLM)
    if (LLM, LLM) in sides:
        for instruction in dict.fromkeys(scoring.instructions):
            samples = llm.samples(Teaching(scoring.teacher or DEFAULT_TEACHER, instruction, None))
            teaching = Teaching(scoring.teacher or DEFAULT_TEACHER, instruction, samples.header)
            yield _Compared(samples, llm.texts(teaching), None, PlainClip(), LLM, LLM)


class _LLMSide:
    """Samples and prompts in the teacher's space, each read once."""

    def __init__(self, workspace: Workspace, text: str, scoring: Scoring, prompt_sets: Sequence[PromptSet]):
        self._workspace = workspace
        self._text = text
        self._scoring = scoring
        self._prompt_sets = prompt_sets
        self._samples: dict[Choice, _Samples] = {}
        self._texts: dict[tuple[str, str], list[PromptEmbeddings]] = {}

    def teaching(self, card: HeadCard) -> Teaching:
        return teaching_of(self._workspace.cache, card, self._scoring.teacher)

    def samples(self, teaching: Teaching, card: HeadCard | None = None) -> "_Samples":
        """The samples' e_G. Raises UsageError where it is not the one that a head was fitted to."""
        choice = e_g_choice(self._workspace, self._text, teaching, self._scoring.frames)
        if choice not in self._samples:
            manifest, store = _image_features(self._workspace, choice, self._scoring, self._prompt_sets)
            self._samples[choice] = _Samples(manifest, store, self._scoring.frames)
        found = self._samples[choice]
        if card:
            refuse_other_e_g(card, teaching, found.header)
        return found

    def texts(self, teaching: Teaching) -> list[PromptEmbeddings]:
        """The prompts by the teacher's T5."""
        known = teaching.teacher, teaching.features.encoder_digest if teaching.features else ""
        if known not in self._texts:
            scoring, prompt_sets = self._scoring, self._prompt_sets
            texts = {text for prompts in prompt_sets for text in prompts.texts}
            encoder = t5_encoder(self._workspace, teaching, texts)
            self._texts[known] = prompt_embeddings(
                self._workspace, prompt_sets, scoring.ensemble, encoder, scoring.cached_only
            )
        return self._texts[known]


def _image_features(
    workspace: Workspace, choice: Choice, scoring: Scoring, prompt_sets: Sequence[PromptSet]
) -> tuple[Manifest, FeatureStore]:
    """The cached image features of a data set; what is missing is extracted, if it can be scored then."""
    ref = workspace.dataset(choice.dataset)
    manifest = known_manifest(workspace.cache, ref, workspace.root_of(ref))
    if manifest is not None and _is_cached(workspace, manifest, choice, scoring.frames):
        _refuse_unscorable(manifest, prompt_sets)
    elif scoring.cached_only:
        raise UsageError(f"{ref.name} has no complete image features of {choice.model}: run `{choice.command}`")
    else:
        manifest = workspace.read(ref, scoring.frames)
        _refuse_unscorable(manifest, prompt_sets)
        request = Request(manifest, (_node(workspace, choice),))
        workspace.run(workspace.plan([request]), [request], f"extract {ref.name}")
    return manifest, complete_store(workspace.cache, manifest, choice)


def _node(workspace: Workspace, choice: Choice) -> Node:
    model = choice.model or ""
    if choice.node == "llm":
        return workspace.models.llm(model, choice.instruction or DEFAULT_INSTRUCTION)
    return workspace.models.clip_image(model)


def _refuse_unscorable(manifest: Manifest, prompt_sets: Sequence[PromptSet]) -> None:
    if not manifest.is_labelled:
        raise UsageError(f"{manifest.name} has no labels: there is nothing to score against")
    for prompts in prompt_sets:
        missing = [name for name in manifest.classes if name not in prompts.prompts]
        if missing:
            raise UsageError(f"the prompt set {prompts.name} has no prompt for {', '.join(missing)}")


def _is_cached(workspace: Workspace, manifest: Manifest, choice: Choice, frames: str) -> bool:
    stores = workspace.cache.find(manifest.name, choice.node, **choice.fields(manifest))
    return manifest.covers(frames) and any(store.is_complete() for store in stores)


class _Samples:
    """The samples of a data set that can be scored: images, or clips of frames.

    A sample with a row that could not be encoded is left out and counted.
    """

    def __init__(self, manifest: Manifest, store: FeatureStore, frames: str):
        self.manifest = manifest
        self.header = store.header
        self.frames = frames if manifest.kind == "clips" else ""
        features = read_features(store, manifest)
        clips = manifest.samples(frames)
        readable = np.logical_and.reduceat(features.mask[clips.indices], clips.offsets[:-1])
        labelled = manifest.labels != NO_LABEL
        self.kept = np.flatnonzero(readable & labelled)
        self.failed = np.flatnonzero(~readable & labelled)
        self._features = features.array
        self._rows = [clips.indices[clips.offsets[k] : clips.offsets[k + 1]] for k in self.kept]
        self.means = np.empty((len(self.kept), features.array.shape[1]))
        """(n, L) float64: the image's embedding, or the mean over the frames of a clip."""
        for k, rows in enumerate(self._rows):
            self.means[k] = features.array[rows].mean(axis=0, dtype=np.float64)

    def similarity(self, head: Head, texts: np.ndarray) -> np.ndarray:
        """Cosines (n, m) of the samples and text embeddings (m, L) behind a head.

        The frames of a clip are averaged behind the head in the released code, before it in the paper. For a linear
        head both are the same, and the mean before it is far less work.
        """
        if head.is_linear or self.header.protocol == "paper":
            return head.similarity(self.means, texts)
        return clip_similarity(head, self._features, self._rows, texts)

    def projected(self, head: Head) -> np.ndarray:
        """(n, L') of the samples behind a head; clips as in `similarity`."""
        if head.is_linear or self.header.protocol == "paper":
            return head.transform(self.means)
        return np.concatenate(list(projected_clips(head, self._features, self._rows)))


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


def _predict(compared: _Compared) -> Iterator[Predictions]:
    """For each prompt set, the cosines between samples and prompts, averaged over the prompts of each class.

    All prompt sets are compared at once: the lengths of the projected samples are the same for all of them.
    """
    samples, prompt_sets = compared.samples, compared.texts
    classes = samples.manifest.classes
    texts, labels = zip(*(prompts.by_class(classes) for prompts in prompt_sets), strict=True)
    cosines = compared.cosines(np.concatenate(texts))
    ends = np.cumsum([len(one) for one in labels])[:-1]
    for prompts, label, cosine in zip(prompt_sets, labels, np.split(cosines, ends, axis=1), strict=True):
        of_class = (label[:, None] == np.arange(len(classes))).astype(np.float64)
        similarity = cosine @ (of_class / of_class.sum(axis=0))
        yield Predictions(_combination(compared, prompts), samples.manifest, samples.kept, similarity)


def _plain_predictions(samples: _Samples, texts: Sequence[PromptEmbeddings]) -> dict[str, np.ndarray]:
    """By prompt set, the classes (n,) that CLIP predicts without a head."""
    return {one.of.prompts: one.predicted for one in _predict(_Compared(samples, texts, None, PlainClip()))}


def _combination(compared: _Compared, prompts: PromptEmbeddings) -> Combination:
    samples, card = compared.samples, compared.card
    header = samples.header
    return Combination(
        dataset=samples.manifest.name,
        backbone=card.backbone if card and compared.image == LLM else header.model,
        head=card.head if card else NO_HEAD,
        head_id=card.id if card else "",
        objective=card.objective if card else "",
        teacher=card.teacher if card else header.model if compared.image == LLM else "",
        instruction=card.instruction if card else header.instruction,
        train=card.train if card else "",
        recipe=card.recipe if card else "",
        seed=card.seed if card else None,
        prompts=prompts.name,
        ensemble=prompts.ensemble,
        protocol=header.protocol,
        frames=samples.frames,
        untrained=header.untrained or (card is not None and card.untrained),
        image=compared.image,
        text=compared.text,
    )


def _scores(compared: _Compared, predictions: Predictions, intervals: bool) -> list[Score]:
    """One score, or one a fold and their plain mean."""
    folds = sorted(set(compared.samples.manifest.folds.tolist()))
    per_fold = [_score_fold(compared, predictions, intervals, fold) for fold in folds]
    if folds == [NO_FOLD]:
        return per_fold
    everything = np.ones(len(predictions.samples), dtype=bool)
    certainty = _certainty(compared, predictions, everything) if intervals else None
    return [*per_fold, replace(mean_over_folds(per_fold), certainty=certainty)]


def _score_fold(compared: _Compared, predictions: Predictions, intervals: bool, fold: int) -> Score:
    samples, manifest = compared.samples, compared.samples.manifest
    here = manifest.folds[predictions.samples] == fold
    truth = manifest.labels[predictions.samples[here]]
    confusion = confusion_matrix(truth, predictions.predicted[here], len(manifest.classes))
    n_failed = int((manifest.folds[samples.failed] == fold).sum())
    name = str(fold) if fold != NO_FOLD else ALL
    found = score(predictions.of, name, manifest.classes, confusion, n_failed)
    return replace(found, certainty=_certainty(compared, predictions, here)) if intervals else found


def _certainty(compared: _Compared, predictions: Predictions, here: np.ndarray) -> Certainty | None:
    """How certain the scores of some samples (n,) are, or the mean of their folds' scores."""
    if not here.any():
        return None
    manifest, chosen = compared.samples.manifest, predictions.samples[here]
    truth, folds, predicted = manifest.labels[chosen], manifest.folds[chosen], predictions.predicted[here]
    plain = compared.plain.get(predictions.of.prompts) if compared.card else None
    gain = None if plain is None else paired_difference(truth, plain[here], predicted, folds)
    return Certainty(score_interval(truth, predicted, folds), gain)
