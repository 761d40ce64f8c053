"""Whether a head fits the features, the classes and the teacher that it is to be scored with, and why not."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...cache.header import Header
from ...errors import UsageError, option, reason
from ...heads.kinds import KINDS
from ...heads.saving import HeadCard
from ...manifests.folds import folds_digest
from ...manifests.manifest import Manifest
from ...scoring.samples import Classifier, Head


def other_features(card: HeadCard, images: Header) -> str:
    """Why a head does not belong to some image features; empty where it does."""
    if card.clip_digest == images.encoder_digest:
        return ""
    return (
        f"head {card.id} was trained on {card.backbone} features {card.clip_digest[:12]} ({card.protocol}); "
        f"{images.dataset} has {images.model} features {images.encoder_digest[:12]} ({images.protocol}): "
        f"extract with the same weights, dtype and protocol"
    )


def other_classes(card: HeadCard, manifest: Manifest) -> str:
    """Why a head from labels cannot tell the classes of a data set; empty where it can."""
    lacking = lacking_classes(card, manifest)
    return f"head {card.id} {lacking}: leave the head out" if lacking else ""


def lacking_classes(card: HeadCard, manifest: Manifest) -> str:
    """What a head from labels learnt, and which classes of a data set it did not; empty where it learnt all."""
    learnt: Sequence[str] | None = card.spec.get("classes")
    lacking = [name for name in manifest.classes if name not in learnt] if learnt is not None else []
    if not lacking:
        return ""
    return f"learnt the classes {', '.join(card.spec['classes'])}; {manifest.label} has {', '.join(lacking)} too"


def other_folds(card: HeadCard, manifest: Manifest) -> str:
    """Why a head that learnt for folds cannot be scored on a data set; empty where it can."""
    folds: Mapping[str, Any] | None = card.spec.get("folds")
    if not folds or folds["digest"] == folds_digest(manifest):
        return ""
    if card.imported:
        todo = f"import its file with {option('features')} {manifest.label}, if it belongs there"
    else:
        todo = f"fit it with {option('train')} {manifest.label}"
    return (
        f"head {card.id} learnt for each fold of {card.train} from the samples outside it; {manifest.label} has "
        f"other folds or samples: leave the head out, or {todo}"
    )


def is_of_these(card: HeadCard, images: Header) -> bool:
    """Whether a head learnt from the labels of the very samples that it is scored on."""
    spec = card.spec
    return "labels" in spec and not spec.get("folds") and spec.get("clip_image") == images.key


def why_no_bridge(card: HeadCard) -> str:
    """Why a head does not lead from CLIP's space to its teacher's; empty where it does."""
    if card.head in KINDS and KINDS[card.head].learns_from != "teacher":
        return f"head {card.id} learnt from {KINDS[card.head].learns_from}, and leads to no LLM: choose another"
    if card.spec.get("form") == "square":
        return (
            f"head {card.id} is a square form, which keeps cosines but not the LLM's space: choose the head that it "
            f"was made from"
        )
    return ""


def longer_clips(card: HeadCard, manifest: Manifest, frames: str) -> str:
    """Why a head does not take the clips of a data set; empty where it does."""
    most = _most_frames(card)
    longest = int(manifest.samples(frames).lengths.max(initial=0)) if most else 0
    if most is None or longest <= most:
        return ""
    return (
        f"head {card.id} takes up to {most} frames of a clip, and {manifest.label} has one of {longest}: choose "
        f"{option('frames')} edge"
    )


def _most_frames(card: HeadCard) -> int | None:
    """Of a clip; a kind that this version does not know is refused where it is loaded."""
    return KINDS[card.head].most_frames if card.head in KINDS else None


def other_frames(card: HeadCard, manifest: Manifest, frames: str) -> str:
    """What to say of a head that sees how a clip goes on, and is scored on other frames than it learnt from."""
    learnt = card.spec.get("frames")
    if not _most_frames(card) or learnt in (frames, "all"):
        return ""
    scored = frames if manifest.kind == "clips" else "images"
    return f"head {card.id} learnt from the frames {learnt} of clips, and is scored on {scored}"


def refuse_other_width(card: HeadCard, head: Head | Classifier, images: Header) -> None:
    """Raise UsageError where a head does not take embeddings as long as those of some images."""
    if not isinstance(head, Classifier):
        width_behind(card, head, images)
        return
    width = getattr(head, "width", None) or images.width
    if width != images.width:
        raise UsageError(
            f"head {card.id} takes embeddings of {width} numbers, and {images.dataset} has {images.width} of "
            f"{images.model}: its file belongs to another head: fit it again"
        )


def width_behind(card: HeadCard, head: Head, images: Header) -> int:
    """How long the embeddings of some images are behind a head. Raises UsageError where it cannot take them."""
    width = images.width
    try:
        with np.errstate(all="ignore"):  # only how many they are is of interest
            return head.transform(np.ones((1, width), dtype=np.float32)).shape[1]
    except (ValueError, RuntimeError, LookupError) as error:
        raise UsageError(
            f"head {card.id} does not take embeddings of {width} numbers, as {images.dataset} has of {images.model} "
            f"({reason(error)}): its file belongs to another head: fit it again"
        ) from error


def refuse_other_output(card: HeadCard, head: Head | Classifier, images: Header, width: int, whose: str) -> None:
    """Raise UsageError where a head does not lead to embeddings of some width L', which are `whose`."""
    assert not isinstance(head, Classifier)
    found = width_behind(card, head, images)
    if found != width:
        raise UsageError(
            f"head {card.id} leads to {found} numbers, and {whose} has {width}: the {option('teacher')} that it was "
            f"imported with is another than its own: import it with the right one, or choose other heads"
        )
