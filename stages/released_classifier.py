"""A classifier that `weights convert` took out of a released file, as a head of the cache."""

from dataclasses import replace
from typing import Any

import numpy as np

from ..cache.header import Header
from ..commands.heads import ImportHead
from ..commands.unused import note_unused
from ..encoders.weights_card import ClassifierCard
from ..errors import UsageError, option
from ..heads.card import HeadCard, as_imported, head_id
from ..heads.saving import load_head
from ..manifests.folds import folds_digest
from ..manifests.manifest import NO_FOLD, Manifest
from ..pipeline.workspace import Workspace
from ..scoring.by_fold import ByFold
from ..scoring.compare import LABELS
from .cached_images import cached_images
from .evaluate.fitting import lacking_classes

_OF_A_TEACHER = ("teacher", "instruction", "objective")


def imported_classifier(request: ImportHead, said: ClassifierCard) -> tuple[HeadCard, dict[str, np.ndarray]]:
    """Its card and tensors. Of a data set of folds it was tested on one of them, and scores no other.

    Raises UsageError where the features in the cache are of another CLIP than its own, where the data set has classes
    that it did not learn, or where it is not known which fold it was tested on.
    """
    if not request.features:
        raise UsageError(
            f"{request.file}: the file does not say which data set it was tested on. Give {option('features')} "
            f"DATASET, whose image features are in the cache, and {option('clip')} ARCH@FILE, the CLIP that was "
            f"converted with it"
        )
    note_unused(request, _OF_A_TEACHER, "it learnt from labels")
    manifest, images = cached_images(request)
    card = _card(request, said, manifest, images)
    if lacking := lacking_classes(card, manifest):
        raise UsageError(f"{request.file}: it {lacking}: give {option('features')} whose classes it learnt")
    _refuse_other_clip(request, said, images)
    fold = _fold(request, manifest)
    head = load_head(request.file, card)
    if fold is not None:
        head = ByFold({fold: head})
        digest = folds_digest(manifest, _lists_train(request))
        card = replace(card, spec=card.spec | {"folds": {"numbers": [fold], "digest": digest}})
    tensors = head.tensors()
    return as_imported(card, tensors), tensors


def _refuse_other_clip(request: ImportHead, said: ClassifierCard, images: Header) -> None:
    found = images.spec["weights"].get("sha256", "")
    if found != said.clip_sha256:
        raise UsageError(
            f"{request.file}: it stands behind the CLIP that was converted with it, whose file has the SHA-256 "
            f"{said.clip_sha256[:12]}…, and {images.dataset} has features of {images.model} "
            f"({found[:12] or 'random'}): extract them with that file, as {option('clip')} ARCH@FILE"
        )


def _fold(request: ImportHead, manifest: Manifest) -> int | None:
    """The fold that it was tested on; None for a data set without folds."""
    folds = [fold for fold in np.unique(manifest.folds).tolist() if fold != NO_FOLD]
    if not folds and request.fold is not None:
        raise UsageError(f"{option('fold')} {request.fold}: {manifest.label} has no folds: leave it out")
    if folds and request.fold not in folds:
        said = "it may score no other" if request.fold is None else f"{request.fold} is none of them"
        known = ", ".join(map(str, folds))
        raise UsageError(
            f"{option('fold')}: {manifest.label} has the folds {known}, and this classifier was tested on one of "
            f"them: say on which, as {said}"
        )
    return request.fold


def _lists_train(request: ImportHead) -> bool:
    published = Workspace.of(request, [request.features]).dataset(request.features).ref.published
    return published is not None and published.role == "train"


def _card(request: ImportHead, said: ClassifierCard, manifest: Manifest, images: Header) -> HeadCard:
    known: dict[str, Any] = {"train": request.train or manifest.folder, "seed": request.seed}
    spec: dict[str, Any] = {"head": said.system, "objective": {"name": LABELS}, "classes": list(said.classes)}
    spec |= {"frames": "all", "clip": images.encoder_digest, "source_sha256": said.source_sha256}
    spec |= {"descriptions": list(said.prompts)} | known
    return HeadCard(
        id=head_id(spec),
        head=said.system,
        objective=LABELS,
        backbone=images.model,
        clip_digest=images.encoder_digest,
        teacher="",
        instruction="",
        protocol=images.protocol,
        untrained=images.untrained,
        spec=spec,
        **known,
    )
