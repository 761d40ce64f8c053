"""`expclip heads`: the heads of a cache, bringing others in, and handing them over."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..cache.files import writing
from ..encoders.names import DEFAULT_TEACHER
from ..errors import UsageError
from ..heads.files import HeadCard, all_heads, find_head, head_id, load_head, read_card, save_head, write_head
from ..heads.foreign import SUFFIXES, read_weight, write_weight
from ..heads.linear import square
from ..heads.objectives import OBJECTIVES
from ..manifests.prompts import DEFAULT_INSTRUCTION
from .features import Choice, cached_manifest, canonical_model, chosen_store
from .workspace import Workspace


@dataclass(frozen=True)
class Origin:
    """What the user knows of a head that another program made."""

    features: str
    """A data set whose cached image features are of the kind that the head projects."""
    clip: str | None = None
    teacher: str = DEFAULT_TEACHER
    instruction: str = DEFAULT_INSTRUCTION
    objective: str = "infonce"
    train: str = ""
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise UsageError(f"--objective {self.objective!r}: choose {', '.join(OBJECTIVES)}")


def list_heads(workspace: Workspace) -> list[tuple[Path, HeadCard]]:
    """The heads of the cache: folders and cards."""
    return list(all_heads(workspace.cache.heads))


def import_head(workspace: Workspace, file: Path, origin: Origin | None = None) -> tuple[Path, HeadCard]:
    """Bring a head into the cache; returns its folder and card.

    A file that `export_head` wrote says itself what it is. Of any other, one linear weight (L', L) is read, and
    `origin` says what it belongs to. Raises UsageError where that is missing or does not fit.
    """
    if not file.is_file():
        raise UsageError(f"{file}: there is no such file")
    known = read_card(file) if origin is None else None
    if known is not None:
        card = replace(known, id=head_id(known.spec))  # the id becomes a folder's name: never taken from a file
        tensors = load_head(file, card).tensors()
    elif origin is None:
        raise UsageError(
            f"{file}: the file does not say which features the head projects: give --features DATASET, a data set "
            "whose image features are in the cache, and --clip"
        )
    else:
        weight = read_weight(file)
        card, tensors = _foreign_card(workspace, file, weight, origin), {"weight": weight}
    return save_head(workspace.cache.heads, card, tensors), card


def export_head(workspace: Workspace, name: str, file: Path, as_square: bool = False) -> HeadCard:
    """Write a head to a file: .pth, a state dict of torch, or .safetensors, which says what head it is.

    `as_square` writes the (L, L) matrix that gives the same cosines as a linear head's (L', L). Raises UsageError
    for another file name, and for `as_square` where a head is no matrix.
    """
    if file.suffix not in SUFFIXES:
        raise UsageError(f"{file}: choose a name that ends in {' or '.join(SUFFIXES)}")
    path, card = find_head(name, list_heads(workspace))
    head = load_head(path, card)
    tensors = head.tensors()
    if as_square:
        if not head.is_linear:
            raise UsageError(f"--square: {card.id} is a {card.head} head; only linear heads have a square equivalent")
        tensors = {"weight": square(tensors["weight"]).astype(np.float32)}
        spec = card.spec | {"form": "square"}
        card = replace(card, id=head_id(spec), spec=spec)
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".pth":
            write_weight(file, tensors)
        else:
            write_head(file, card, tensors)
    return card


def _foreign_card(workspace: Workspace, file: Path, weight: np.ndarray, origin: Origin) -> HeadCard:
    manifest = cached_manifest(workspace.cache, workspace.dataset(origin.features))
    choice = Choice(origin.features, "clip_image", origin.clip, None, workspace.protocol, workspace.dtype)
    images = chosen_store(workspace.cache, manifest, choice).header
    (width,) = images.row_shape
    if weight.shape[1] != width:
        raise UsageError(
            f"{file}: the head is a matrix {weight.shape}, and {images.model} has embeddings of {width}: it must be "
            f"(L', {width}); choose the CLIP it belongs to with --clip"
        )
    said: dict[str, Any] = {
        "objective": origin.objective,
        "teacher": canonical_model("llm", origin.teacher),
        "instruction": origin.instruction,
        "train": origin.train,
        "seed": origin.seed,
    }
    spec = {"head": "linear", "weight": hashlib.sha256(weight.tobytes()).hexdigest(), "clip": images.encoder_digest}
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
