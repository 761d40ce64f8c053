"""`expclip evaluate`: zero-shot scores of cached test features, over every combination of prompts and heads."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..cache.cache import TEXT
from ..cache.files import writing
from ..cache.store import FeatureStore
from ..encoders.names import DEFAULT_CLIP
from ..errors import UsageError
from ..heads.files import HeadCard, all_heads, load_head, read_card
from ..heads.linear import LinearHead, PlainClip
from ..manifests.catalogue import DataSetRef, parse_dataset
from ..manifests.manifest import NO_FOLD, NO_LABEL, Manifest
from ..manifests.prompts import PROMPT_SETS, PromptSet, prompt_set
from ..pipeline.plan import Request
from ..reports.figures import confusion_figure
from ..reports.metrics import confusion_matrix
from ..reports.scores import Combination, Score, as_row, mean_over_folds, score, write_rows
from ..reports.tables import markdown, tables
from .features import complete_store, extract_command, known_manifest, read_features, wanted_fields
from .workspace import Workspace

NO_HEAD = "none"


@dataclass(frozen=True)
class Scoring:
    """The options that may be repeated: every combination is scored."""

    clips: Sequence[str] = (DEFAULT_CLIP,)
    heads: Sequence[str] | None = None
    """Head ids, folders or `none`; by default `none` and all heads of the cache that match."""
    prompts: Sequence[str] = PROMPT_SETS
    frames: str = "released"
    cached_only: bool = False


@dataclass(frozen=True, eq=False)
class Predictions:
    """What one combination predicts for the samples that could be scored."""

    of: Combination
    samples: np.ndarray
    """(n,) sample numbers in the manifest."""
    similarity: np.ndarray
    """(n, classes) cosines, averaged over the prompts of each class."""

    @property
    def predicted(self) -> np.ndarray:
        return self.similarity.argmax(axis=1)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All scores of a sweep, and the predictions behind them with their manifests."""

    scores: list[Score]
    predictions: list[tuple[Manifest, Predictions]]


def evaluate(
    workspace: Workspace, datasets: Sequence[str], scoring: Scoring | None = None, out: Path | None = None
) -> Evaluation:
    """Score every combination of data sets, backbones, heads and prompt sets; write the results to `out`.

    Features that are missing are extracted first, unless `cached_only`. Raises UsageError where a data set has no
    labels, a head belongs to other features, or something is missing that may not be extracted.
    """
    scoring = scoring or Scoring()
    prompt_sets = [prompt_set(name, workspace.protocol) for name in scoring.prompts]
    found = Evaluation([], [])
    for text in datasets:
        for clip in scoring.clips:
            manifest, store = _image_features(workspace, text, clip, scoring)
            samples = _Samples(manifest, store, scoring.frames)
            texts = [_TextFeatures(workspace, prompts, clip, store, scoring) for prompts in prompt_sets]
            for card, head in _heads(workspace, scoring, store):
                for prompts in texts:
                    predictions = _predict(samples, prompts, card, head)
                    found.predictions.append((manifest, predictions))
                    found.scores.extend(_scores(samples, predictions))
    if out is not None:
        write_results(found, out)
    return found


def _image_features(workspace: Workspace, text: str, clip: str, scoring: Scoring) -> tuple[Manifest, FeatureStore]:
    """The cached image features of a data set; what is missing is extracted."""
    ref = parse_dataset(text)
    manifest = known_manifest(workspace.cache, ref)
    if manifest is None or not _is_cached(workspace, manifest, clip):
        manifest = _extract_images(workspace, ref, text, clip, scoring)
    if not manifest.is_labelled:
        raise UsageError(f"{ref.name} has no labels: there is nothing to score against")
    return manifest, complete_store(workspace.cache, manifest, text, "clip_image", clip, None, workspace.protocol)


def _is_cached(workspace: Workspace, manifest: Manifest, clip: str) -> bool:
    wanted = wanted_fields("clip_image", clip, None, workspace.protocol) | {"rows_digest": manifest.rows.digest}
    stores = workspace.cache.find(manifest.name, "clip_image", **wanted)
    return any(store.is_complete() for store in stores)


def _extract_images(workspace: Workspace, ref: DataSetRef, text: str, clip: str, scoring: Scoring) -> Manifest:
    if scoring.cached_only:
        command = extract_command(text, "clip_image", clip, None, workspace.protocol)
        raise UsageError(f"{ref.name} has no complete image features of {clip} in the cache: run `{command}`")
    manifest = workspace.read(ref, scoring.frames)
    request = Request(manifest, (workspace.models.clip_image(clip),))
    workspace.run(workspace.plan([request]), [request], f"extract {ref.name}")
    return manifest


class _Samples:
    """One embedding a sample: the image's, or the mean over the frames of a clip.

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
        self.embeddings = np.empty((len(self.kept), features.array.shape[1]))
        """(n, L) float64."""
        for k, sample in enumerate(self.kept):
            rows = clips.indices[clips.offsets[sample] : clips.offsets[sample + 1]]
            self.embeddings[k] = features.array[rows].mean(axis=0, dtype=np.float64)


class _TextFeatures:
    """The embeddings of a prompt set by the text tower that belongs to some image features."""

    def __init__(self, workspace: Workspace, prompts: PromptSet, clip: str, images: FeatureStore, scoring: Scoring):
        self.name = prompts.name
        manifest = prompts.manifest()
        store = _cached_texts(workspace, manifest, images) or _extract_texts(
            workspace, manifest, clip, images, scoring
        )
        self.untrained = store.header.untrained
        self._embeddings = store.read().astype(np.float64)
        self._rows = manifest.samples("image").indices
        self._labels = manifest.labels
        self._classes = manifest.classes

    def by_class(self, classes: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
        """The prompts' embeddings (m, L), and for each its class index, of the classes of a data set."""
        missing = [name for name in classes if name not in self._classes]
        if missing:
            raise UsageError(f"the prompt set {self.name} has no prompt for {', '.join(missing)}")
        wanted = {self._classes.index(name): index for index, name in enumerate(classes)}
        used = [k for k, label in enumerate(self._labels.tolist()) if label in wanted]
        index = np.array([wanted[int(self._labels[k])] for k in used])
        return self._embeddings[self._rows[used]], index


def _cached_texts(workspace: Workspace, manifest: Manifest, images: FeatureStore) -> FeatureStore | None:
    for store in workspace.cache.find(TEXT, "clip_text", rows_digest=manifest.rows.digest):
        same = all(store.header.spec[part] == images.header.spec[part] for part in ("weights", "precision"))
        if same and store.is_complete():
            return store
    return None


def _extract_texts(
    workspace: Workspace, manifest: Manifest, clip: str, images: FeatureStore, scoring: Scoring
) -> FeatureStore:
    """Encode a prompt set with the weights and in the number format of the image features."""
    if scoring.cached_only:
        raise UsageError(f"the text features of {manifest.name} by {clip} are not cached: leave out --cached-only")
    node = workspace.models_in(images.header.spec["precision"]).clip_text(clip)
    if node.spec["weights"] != images.header.spec["weights"]:
        raise UsageError(
            f"{clip} has other weights now than those that made {images.path.name}: extract again, or bring them back"
        )
    request = Request(manifest, (node,))
    workspace.run(workspace.plan([request]), [request], f"encode {manifest.name}")
    store = _cached_texts(workspace, manifest, images)
    assert store is not None
    return store


def _heads(
    workspace: Workspace, scoring: Scoring, store: FeatureStore
) -> Iterator[tuple[HeadCard | None, LinearHead | PlainClip]]:
    """The heads to score on some features, plain CLIP first."""
    wanted = scoring.heads
    if wanted is None or NO_HEAD in wanted:
        yield None, PlainClip()
    known = list(all_heads(workspace.cache.heads))
    for name in wanted or ():
        if name == NO_HEAD:
            continue
        folder, card = _named_head(name, known)
        if card.clip_digest != store.header.encoder_digest:
            raise UsageError(
                f"head {card.id} was trained on {card.backbone} features {card.clip_digest[:12]} ({card.protocol}); "
                f"{store.header.dataset} has {store.header.model} features {store.header.encoder_digest[:12]} "
                f"({store.header.protocol}): extract with the same weights, precision and protocol"
            )
        yield card, load_head(folder)
    if wanted is None:
        for folder, card in known:
            if card.clip_digest == store.header.encoder_digest:
                yield card, load_head(folder)


def _named_head(name: str, known: Sequence[tuple[Path, HeadCard]]) -> tuple[Path, HeadCard]:
    path = Path(name)
    folder = path.parent if path.is_file() else path
    card = read_card(folder)
    if card is not None:
        return folder, card
    matching = [(folder, card) for folder, card in known if card.id.startswith(name)]
    if len(matching) != 1:
        ids = ", ".join(card.id for _, card in known) or "there is none"
        raise UsageError(f"--head {name!r}: {'several' if matching else 'no'} heads are called so ({ids})")
    return matching[0]


def _predict(
    samples: _Samples, prompts: _TextFeatures, card: HeadCard | None, head: LinearHead | PlainClip
) -> Predictions:
    """Cosines between every sample and every prompt, averaged over the prompts of each class."""
    classes = samples.manifest.classes
    texts, index = prompts.by_class(classes)
    cosines = head.similarity(samples.embeddings, texts)
    of_class = (index[:, None] == np.arange(len(classes))).astype(np.float64)
    similarity = cosines @ (of_class / of_class.sum(axis=0))
    of = Combination(
        dataset=samples.manifest.name,
        backbone=samples.header.model,
        head=card.head if card else NO_HEAD,
        head_id=card.id if card else "",
        objective=card.objective if card else "",
        instruction=card.instruction if card else "",
        seed=card.seed if card else None,
        prompts=prompts.name,
        ensemble="logits",
        protocol=samples.header.protocol,
        frames=samples.frames,
        untrained=samples.header.untrained or (card is not None and card.untrained),
    )
    return Predictions(of, samples.kept, similarity)


def _scores(samples: _Samples, predictions: Predictions) -> list[Score]:
    """One score, or one a fold and their plain mean."""
    manifest = samples.manifest
    folds = sorted(set(manifest.folds.tolist()))
    per_fold = [_score_fold(samples, predictions, fold) for fold in folds]
    if folds == [NO_FOLD]:
        return per_fold
    return [*per_fold, mean_over_folds(per_fold)]


def _score_fold(samples: _Samples, predictions: Predictions, fold: int) -> Score:
    manifest = samples.manifest
    here = manifest.folds[predictions.samples] == fold
    truth = manifest.labels[predictions.samples[here]]
    confusion = confusion_matrix(truth, predictions.predicted[here], len(manifest.classes))
    n_failed = int((manifest.folds[samples.failed] == fold).sum())
    return score(predictions.of, str(fold) if fold != NO_FOLD else "all", manifest.classes, confusion, n_failed)


def write_results(found: Evaluation, out: Path) -> None:
    """`scores.csv`, `predictions.csv`, `confusion.npz`, `tables.md`, and `figures/` with a figure per matrix."""
    with writing(out):
        figures = out / "figures"
        figures.mkdir(parents=True, exist_ok=True)
        write_rows(out / "scores.csv", [as_row(one) for one in found.scores])
        write_rows(out / "predictions.csv", [row for one in found.predictions for row in _prediction_rows(*one)])
        (out / "tables.md").write_text(markdown(tables(found.scores)), encoding="utf-8")
        overall = [one for one in found.scores if one.fold in ("all", "mean")]
        matrices = {one.of.slug: one.confusion for one in overall}
        np.savez_compressed(out / "confusion.npz", **matrices)  # pyright: ignore[reportArgumentType]
        for one in overall:
            confusion_figure(one, figures / f"{one.of.slug}.png")


def _prediction_rows(manifest: Manifest, predictions: Predictions) -> Iterator[dict]:
    of = predictions.of
    known = {"dataset": of.dataset, "backbone": of.backbone, "head": of.head, "head_id": of.head_id}
    best = predictions.similarity.max(axis=1)
    for sample, predicted, cosine in zip(predictions.samples, predictions.predicted, best, strict=True):
        yield known | {
            "prompts": of.prompts,
            "sample": manifest.sample_ids[sample],
            "fold": int(manifest.folds[sample]) or "",
            "label": manifest.classes[manifest.labels[sample]],
            "predicted": manifest.classes[predicted],
            "cosine": round(float(cosine), 6),
        }
