"""A model without a head: plain CLIP, or what its family has for the frames of a clip."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ...cache.header import Header
from ...encoders.families import ClipHead, Models, family_of
from ...errors import ExpclipError, UsageError, option
from ...lazy import load
from ...manifests.manifest import Manifest
from ...pipeline.needs import Need, is_digest
from ...pipeline.workspace import Workspace
from ...scoring.cosines import PlainClip
from ...scoring.own_clips import OwnClips
from ...scoring.samples import Head
from ...scoring.scores import OWN_HEAD, PLAIN, TOWER_ALONE


def zero_shot_name(header: Header, manifest: Manifest) -> str:
    """What a model is called where it is scored without a head on a data set."""
    if clip_head_of(header.model) is None:
        return PLAIN
    return OWN_HEAD if manifest.kind == "clips" else TOWER_ALONE


def clip_head_of(model: str) -> ClipHead | None:
    """What the family of a model has for the frames of a clip, if that is more than their mean."""
    return family_of("clip", model).code.clip_head


def without_head(workspace: Workspace, need: Need, header: Header, manifest: Manifest) -> Head:
    """What scores some features without a head. A clip head is loaded once it is used.

    Raises UsageError where the frames are none that a clip head takes, or its weights are not those behind the
    features, ExpclipError where they are not here.
    """
    own = clip_head_of(header.model)
    if own is None or manifest.kind != "clips":
        return PlainClip()
    _refuse_frames(own, need, header, manifest)
    model = header.model if is_digest(need.model) else need.model
    found = _found(workspace, model)
    if found.origin != header.spec.get("weights"):
        raise UsageError(
            f"{option('clip')} {model} has other weights now than those that made the {header.node} features of "
            f"{header.dataset}, and its clip head belongs to these: bring them back, or extract again"
        )
    if need.frames != own.frames:
        workspace.remark(header.model, f"its clip head was made for the frames {own.frames}, and sees {need.frames}")
    return OwnClips(partial(_loaded, own, found, workspace.models))


def _refuse_frames(own: ClipHead, need: Need, header: Header, manifest: Manifest) -> None:
    assert need.frames is not None
    others = [length for length in manifest.samples(need.frames).lengths.tolist() if length not in own.takes]
    if others:
        few = own.takes[0] if len(own.takes) == 1 else f"{own.takes[0]} to {own.takes[-1]:,}"
        raise UsageError(
            f"{header.model} makes one of {few} frames of a clip, and with {option('frames')} {need.frames} "
            f"{manifest.label} has a clip of {others[0]:,}: choose {option('frames')} {own.frames}, or "
            f"heads alone with {option('head')}"
        )


def _found(workspace: Workspace, model: str) -> Any:
    try:
        return workspace.models.found("clip", model)
    except ExpclipError as error:
        why = "its clip head, which makes one of the frames of a clip, is in its file"
        raise UsageError(f"{error.args[0]}; {why}") from error


def _loaded(own: ClipHead, model: object, models: Models) -> Callable[[np.ndarray], np.ndarray]:
    """A clip head in float32 on the device where encoders run."""
    import torch

    from ...encoders.products import faster_layers

    device, embed = models.here, load(own.embed)
    weights = {name: value.to(device) for name, value in own.weights(model).items()}

    def embedded(frames: np.ndarray) -> np.ndarray:
        with torch.inference_mode(), faster_layers(device):
            return embed(weights, torch.from_numpy(frames).to(device)).cpu().numpy()

    return embedded
