"""`expclip heads`: the heads of a cache, bringing others in, and handing them over."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..aside import is_temporary, sweep
from ..cache.files import discard
from ..commands.heads import ExportHead, ImportHead, Kept, ListHeads, RemovedHead, RemoveHeads
from ..commands.unused import note_unused
from ..encoders.names import BUILTIN
from ..encoders.weights import PUBLISHED
from ..encoders.weights_card import classifier_card_of
from ..errors import UsageError, one_of, option, reason
from ..heads.card import as_imported
from ..heads.kept import DamagedHead, beginning, find_head, heads_in
from ..heads.kinds import KINDS
from ..heads.linear import square
from ..heads.saving import (
    CARD,
    FILES,
    SUFFIXES,
    WEIGHTS,
    HeadCard,
    head_id,
    is_head_folder,
    known_card,
    load_head,
    save_head,
    write_head,
)
from ..manifests.prompts import instruction_name
from ..pipeline.beginning import say_new
from ..pipeline.checks import refuse_file, refuse_unknown_models
from ..pipeline.needs import canonical_model
from ..pipeline.workspace import Workspace
from .cached_images import cached_images
from .released_classifier import imported_classifier

_FACTS = ("clip", "teacher", "instruction", "protocol", "dtype", "objective", "train", "seed")
"""What a request says of a head whose file does not."""


def list_heads(request: ListHeads) -> list[Kept | DamagedHead]:
    """The heads of the cache, each with its folder and card, and last those that cannot be used."""
    kept, damaged = heads_in(Workspace.of(request).cache.heads)
    return [*kept, *damaged]


def remove_heads(request: RemoveHeads) -> list[RemovedHead]:
    """Remove heads from the cache. Raises UsageError, before anything is removed, for a name that is no head's."""
    heads = Workspace.of(request).cache.heads
    sweep(heads)
    folders = dict.fromkeys(_folder_of(name, heads) for name in request.head)
    removed = []
    for folder in folders:
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        discard(folder)
        removed.append(RemovedHead(folder, size))
    return removed


def _folder_of(name: str, heads: Path) -> Path:
    """The folder that a user means by its name, its path, or the beginning of an id."""
    kept, damaged = heads_in(heads)
    known = {path.name: path for path, _ in (*kept, *damaged)}
    if name in known:
        return known[name]
    if is_head_folder(Path(name)):
        return _only_a_head(Path(name).absolute())
    if (heads / name).exists() and Path(name).name == name:
        raise UsageError(f"{heads / name}: this is no head: remove it yourself, if you do not need it")
    found = {path for path, _ in beginning(name, kept)} | {known[one] for one in known if one.startswith(name)}
    if len(found) != 1 or not name:
        ids = ", ".join(sorted(path.name for path in found) or known) or "there is none"
        raise UsageError(f"{name!r}: {'several heads have ids that begin so' if found else 'no such head'} ({ids})")
    return found.pop()


def _only_a_head(folder: Path) -> Path:
    """A head's folder anywhere. Raises UsageError where it is perhaps none, or where somebody has files in it."""
    inside = {path.name for path in folder.iterdir() if not is_temporary(path.name)}
    if not inside & {CARD, WEIGHTS} or inside - FILES:
        raise UsageError(f"{folder}: it is no head of this cache, and holds other files: remove it yourself")
    return folder


def import_head(request: ImportHead) -> Kept:
    """Bring a head into the cache; returns its folder and card.

    A file that `export_head` wrote says itself what it is, and so does a classifier of `weights convert`, but for the
    data set. Of any other, one linear weight (L', L) is read, and the request says what it belongs to. Raises
    UsageError where that is missing or does not fit.
    """
    file = request.file
    refuse_unknown_models(request, "clip", "teacher", "instruction")
    if not file.is_file():
        raise UsageError(f"{file}: there is no such file")
    classifier = classifier_card_of(file)
    if classifier is None:
        note_unused(request, "fold", "only a classifier of `expclip weights convert` was tested on one fold")
    known = _own_card(file) if not request.features and classifier is None else None
    if classifier is not None:
        card, tensors = imported_classifier(request, classifier)
    elif known is not None:
        note_unused(request, _FACTS, f"{file} says itself what head it is")
        tensors = load_head(file, known).tensors()
        card = as_imported(known, tensors)
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
        tensors = {"weight": weight}
        card = as_imported(_foreign_card(request, weight), tensors)
    cache = Workspace.of(request).cache
    say_new(cache)
    return save_head(cache.heads, card, tensors), card


def _own_card(file: Path) -> HeadCard | None:
    """The card that a file carries. Raises UsageError where it is damaged."""
    try:
        return known_card(file)
    except (OSError, ValueError) as error:
        raise UsageError(str(DamagedHead(file, reason(error)))) from error


def export_head(request: ExportHead) -> Kept:
    """Write a head to a file: .pth, a state dict of torch, or .safetensors, which says what head it is.

    `square` writes the (L, L) matrix that gives the same cosines as a linear head's (L', L). Raises UsageError for
    another file name, and for `square` where a head is not a matrix.
    """
    file = request.file
    if file.suffix not in SUFFIXES:
        raise UsageError(f"{file}: choose a name that ends in {one_of(SUFFIXES)}")
    refuse_file(file)
    path, card = find_head(request.head, *heads_in(Workspace.of(request).cache.heads))
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
    _, images = cached_images(request)
    width = images.width
    if weight.shape[1] != width:
        raise UsageError(
            f"{request.file}: the head is a matrix {weight.shape}, and {images.model} has embeddings of {width}: it "
            f"must be (L', {width}); choose the CLIP it belongs to with {option('clip')}"
        )
    wide = _llm_width(Workspace.of(request, [request.features]), canonical_model("llm", request.teacher))
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
