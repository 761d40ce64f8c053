"""The samples of a data set, with their cached features."""

from collections.abc import Sequence

import numpy as np

from ..cache.store import FeatureStore
from ..encoders.node import Node
from ..errors import UsageError
from ..heads.cosines import Head, clip_similarity, projected_clips
from ..manifests.manifest import NO_LABEL, Manifest
from ..manifests.prompts import DEFAULT_INSTRUCTION, PromptSet
from ..pipeline.plan import Request
from .features import Choice, complete_store, known_manifest, read_features
from .scoring import Scoring
from .workspace import Workspace


class Samples:
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


def image_features(
    workspace: Workspace, choice: Choice, scoring: Scoring, prompt_sets: Sequence[PromptSet]
) -> tuple[Manifest, FeatureStore]:
    """The cached image features of a data set; what is missing is extracted, if it can be scored then."""
    ref = workspace.dataset(choice.dataset)
    manifest = known_manifest(workspace.cache, ref, workspace.root_of(ref))
    if manifest is not None and _is_cached(workspace, manifest, choice, scoring.frames):
        _refuse_unscorable(manifest, prompt_sets)
    elif scoring.cached_only:
        command = choice.command(workspace.cache)
        raise UsageError(f"{ref.name} has no complete image features of {choice.model}: run `{command}`")
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
        prompts.covering(manifest.classes)


def _is_cached(workspace: Workspace, manifest: Manifest, choice: Choice, frames: str) -> bool:
    stores = workspace.cache.find(manifest.name, choice.node, **choice.fields(manifest))
    return manifest.covers(frames) and any(store.is_complete() for store in stores)
