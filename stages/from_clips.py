"""Heads that lead clips to prompts: what of these is learnt, from which frames, and which epoch counts."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from ..commands.fit_head import FitHead
from ..encoders.dtypes import resolve_device
from ..errors import UsageError, option
from ..heads.clip_recipe import FIXED, LAST, LEARNED, RELEASED, TEST_FOLD, VALIDATION, ClassTexts, Contexts, Tower
from ..heads.kinds import KINDS
from ..manifests.frames import ALL
from ..manifests.manifest import NO_FOLD, Manifest
from ..manifests.prompts import PromptSet
from ..manifests.remarks import remark
from ..pipeline.needs import Need, is_there
from ..pipeline.rereading import known_manifest
from ..pipeline.texts import TextEncoder, Texts
from ..pipeline.workspace import Workspace

EDGE, USUAL = "edge", "released"
"""Frames that are learnt from where they are not drawn of all: as they are tested, and as other heads take them."""


def learns_prompts(head: str, request: FitHead) -> bool:
    """Whether contexts of a head's prompts are learnt."""
    return text_of(head, request) == LEARNED


def text_of(head: str, request: FitHead) -> str:
    """Whether a head's prompts are learned or fixed; empty for heads that lead no clips to prompts."""
    kinds = KINDS[head].texts
    return (request.text if request.text in kinds else kinds[0]) if kinds else ""


def contexts_of(head: str, request: FitHead) -> Contexts:
    """What is learnt of a head's prompts; what the request leaves open is as suits the head."""
    kind = KINDS[head]
    usual = kind.contexts
    lr = request.context_lr if learns_more(head) else request.lr or usual.lr
    return Contexts(
        request.context_tokens or usual.tokens, request.contexts or usual.per, request.context_position, lr
    )


def learns_more(head: str) -> bool:
    """Whether a head learns something besides the contexts of its prompts: then either has a learning rate."""
    return FIXED in KINDS[head].texts


def selects(head: str, request: FitHead) -> str:
    """Which epoch of a head counts."""
    return request.select if KINDS[head].texts else LAST


def frames_of(workspace: Workspace, head: str, request: FitHead, images: Need) -> str:
    """The frames that a head learns from where none are asked for: of all, if they are there, are the best drawn."""
    if request.frames is not None:
        return request.frames
    if not KINDS[head].texts:
        return USUAL
    manifest = known_manifest(workspace, request.train)
    covers = manifest is not None and manifest.kind == "clips" and manifest.covers(ALL)
    return ALL if covers and is_there(workspace, replace(images, frames=ALL)) else EDGE


def sampler_of(frames: str, request: FitHead) -> str | None:
    """How frames are drawn of those that a clip has; None where they are as they are."""
    return request.sampler if frames == ALL else RELEASED if frames in (EDGE, USUAL) else None


def clip_settings(head: str, frames: str, request: FitHead) -> dict[str, Any]:
    """What a card says of it; what was so before there was a choice is not said."""
    if not KINDS[head].texts:
        return {}
    said: dict[str, Any] = {"text": text_of(head, request)}
    if said["text"] == LEARNED:
        said["contexts"] = asdict(contexts_of(head, request))
    if frames == ALL and request.sampler != RELEASED:
        said["sampler"] = request.sampler
    return said | ({"select": request.select} if request.select != LAST else {})


def refuse_selection(heads: Sequence[str], manifest: Manifest, request: FitHead) -> None:
    """Raise UsageError where an epoch is to be chosen on the fold that is tested, and there are no folds."""
    chooses = any(selects(head, request) == TEST_FOLD for head in heads)
    if chooses and not (manifest.folds != NO_FOLD).any():
        raise UsageError(
            f"{option('select')} {TEST_FOLD}: {manifest.label} has no folds: choose {VALIDATION}, which holds out "
            f"clips of those that are learnt from"
        )


def class_texts(
    workspace: Workspace,
    encoder: TextEncoder,
    prompts: PromptSet,
    classes: Sequence[str],
    contexts: Contexts,
    device: str | None,
) -> ClassTexts:
    """The one prompt of each class, and the text tower behind some features.

    Raises UsageError where a class has several, or where the tower is none that prompts are learnt through.
    """
    from ..heads.contexts import words_read  # by torch

    for name in classes:
        if len(prompts.prompts[name]) > 1:
            raise UsageError(
                f"{prompts.name} has {len(prompts.prompts[name])} prompts of {name}, and contexts are learnt for "
                f"one: choose other {option('prompts')}, or {option('text')} {FIXED}"
            )
    found = ClassTexts(_tower(workspace, encoder, device), tuple(prompts.prompts[name][0] for name in classes))
    room = words_read(found.tower, contexts)
    words, *_ = found.tower.words(found.texts)
    cut = [name for name, one in zip(classes, words, strict=True) if len(one) > room]
    said = f"longer than the {room} tokens that are read beside {contexts.tokens} of context: the rest is cut"
    workspace.remark(prompts.name, *remark(cut, f"text is {said}", f"texts are {said}"))
    return found


def _tower(workspace: Workspace, encoder: TextEncoder, device: str | None) -> Tower:
    """The text tower behind some features, in float32.

    Raises UsageError where its weights are others by now, or no prompts are learnt through it.
    """
    identity = encoder.identity and encoder.identity | {"dtype": "float32"}
    node = Texts(workspace).node(replace(encoder, dtype="float32", identity=identity))
    opened = getattr(node.load(resolve_device(device)), "for_prompts", None)
    if opened is None:
        raise UsageError(
            f"{option('clip')} {encoder.asked}: prompts are learnt through CLIP's text tower, and this is another: "
            f"choose {option('text')} {FIXED}"
        )
    return opened()
