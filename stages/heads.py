"""`expclip heads`: the heads of a cache, bringing others in, and handing them over."""

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np

from ..commands.heads import ExportHead, ImportHead, Kept, ListHeads
from ..commands.unused import note_unused
from ..encoders.names import BUILTIN
from ..encoders.weights import PUBLISHED
from ..errors import UsageError, one_of, option
from ..heads.kinds import KINDS
from ..heads.linear import square
from ..heads.saving import (
    SUFFIXES,
    HeadCard,
    all_heads,
    find_head,
    head_id,
    load_head,
    read_card,
    save_head,
    write_head,
)
from ..manifests.prompts import instruction_name
from ..pipeline.checks import refuse_file, refuse_unknown_models
from ..pipeline.needs import Need, canonical_model, chosen_store, why_missing
from ..pipeline.rereading import known_manifest
from ..pipeline.workspace import Workspace

_FACTS = ("clip", "teacher", "instruction", "protocol", "dtype", "objective", "train", "seed")
"""What a request says of a head whose file does not."""


def list_heads(request: ListHeads) -> list[Kept]:
    """The heads of the cache, each with its folder and card."""
    return list(all_heads(Workspace.of(request).cache.heads))


def import_head(request: ImportHead) -> Kept:
    """Bring a head into the cache; returns its folder and card.

    A file that `export_head` wrote says itself what it is. Of any other, one linear weight (L', L) is read, and the
    request says what it belongs to. Raises UsageError where that is missing or does not fit.
    """
    file = request.file
    refuse_unknown_models(request, "clip", "teacher", "instruction")
    if not file.is_file():
        raise UsageError(f"{file}: there is no such file")
    known = read_card(file) if not request.features else None
    if known is not None:
        note_unused(request, _FACTS, f"{file} says itself what head it is")
        card = known
        tensors = load_head(file, card).tensors()
    elif not request.features:
        raise UsageError(
            f"{file}: the file does not say what head it is. Give {option('features')} DATASET, a data set whose "
            f"image features are in the cache, and {option('clip')}, the head's CLIP; {option('teacher')} and "
            f"{option('instruction')} if the head did not learn from {request.teacher} and {request.instruction}. "
            f"{option('objective')}, {option('train')} and {option('seed')} are only recorded"
        )
    else:
        from ..heads.foreign import read_weight  # by torch

        weight = read_weight(file)
        card, tensors = _foreign_card(request, weight), {"weight": weight}
    return save_head(Workspace.of(request).cache.heads, card, tensors), card


def export_head(request: ExportHead) -> Kept:
    """Write a head to a file: .pth, a state dict of torch, or .safetensors, which says what head it is.

    `square` writes the (L, L) matrix that gives the same cosines as a linear head's (L', L). Raises UsageError for
    another file name, and for `square` where a head is not a matrix.
    """
    file = request.file
    if file.suffix not in SUFFIXES:
        raise UsageError(f"{file}: choose a name that ends in {one_of(SUFFIXES)}")
    refuse_file(file)
    path, card = find_head(request.head, list(all_heads(Workspace.of(request).cache.heads)))
    if request.square and card.head in KINDS and not KINDS[card.head].is_linear:
        raise UsageError(
            f"{option('square')}: {card.id} is a {card.head} head; only linear heads have a square equivalent"
        )
    tensors = load_head(path, card).tensors()
    if request.square:
        tensors = {"weight": square(tensors["weight"]).astype(np.float32)}
        spec = card.spec | {"form": "square"}
        card = replace(card, id=head_id(spec), spec=spec)
    if file.suffix == ".pth":
        from ..heads.foreign import write_weight  # by torch

        write_weight(file, tensors)
    else:
        write_head(file, card, tensors)
    return file, card


def _foreign_card(request: ImportHead, weight: np.ndarray) -> HeadCard:
    workspace = Workspace.of(request, [request.features])
    need = Need(request.features, "clip_image", request.clip, protocol=request.protocol, dtype=request.dtype)
    manifest = known_manifest(workspace, request.features)
    store = chosen_store(workspace, manifest, need) if manifest else None
    if store is None:
        raise UsageError(why_missing(workspace, [need]))
    images = store.header
    width = images.width
    if weight.shape[1] != width:
        raise UsageError(
            f"{request.file}: the head is a matrix {weight.shape}, and {images.model} has embeddings of {width}: it "
            f"must be (L', {width}); choose the CLIP it belongs to with {option('clip')}"
        )
    wide = _llm_width(workspace, canonical_model("llm", request.teacher))
    if wide and weight.shape[0] not in (wide, width):
        raise UsageError(
            f"{request.file}: the head leads to {weight.shape[0]} numbers (its matrix is {weight.shape}), and e_G of "
            f"{request.teacher} has {wide}: name the teacher that it learnt from with {option('teacher')}"
        )
    said: dict[str, Any] = {
        "objective": request.objective,
        "teacher": canonical_model("llm", request.teacher),
        "instruction": instruction_name(request.instruction),
        "train": request.train,
        "seed": request.seed,
    }
    spec = {"head": "linear", "weight": hashlib.sha256(weight.tobytes()).hexdigest(), "clip": images.encoder_digest}
    if wide and wide != width == weight.shape[0]:
        spec["form"] = "square"
    return HeadCard(
        id=head_id(spec | said),
        head="linear",
        backbone=images.model,
        clip_digest=images.encoder_digest,
        protocol=images.protocol,
        untrained=images.untrained,
        spec=spec | said,
        **said,
    )


def _llm_width(workspace: Workspace, teacher: str) -> int:
    """L' of a teacher: of its features in the cache, or as it is published; 0 where nothing is known of it."""
    stores = (store for store in workspace.cache.stores() if store.header.node == "llm")
    for store in stores:
        if store.header.model == teacher:
            return store.header.width
    if teacher in BUILTIN:
        return workspace.models.node("llm_text", teacher).row_shape[0]
    return PUBLISHED[teacher].llm_width if teacher in PUBLISHED else 0
