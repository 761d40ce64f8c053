"""Which head predicts: the one that is named, else the one of the cache that fits."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...cache.header import Header
from ...commands.predict import Predict
from ...errors import UsageError, option
from ...heads.choosing import NO_HEAD, choose_heads
from ...heads.kept import heads_in
from ...heads.saving import HeadCard, Kept, load_head
from ...manifests.manifest import Manifest
from ...pipeline.left_out import note_damaged
from ...pipeline.workspace import Workspace
from ...scoring.by_fold import folds_of, gives_logits
from ...scoring.samples import Classifier, Head
from ..evaluate.fitting import longer_clips, other_classes, other_features, other_folds, refuse_other_width

_LISTED = 8
"""Recipes that a message lists."""


@dataclass(frozen=True)
class Chosen:
    """The heads of one recipe, which differ only in the seed; none for a model as it is."""

    cards: tuple[HeadCard, ...] = ()
    heads: tuple[Head | Classifier, ...] = ()


def chosen(request: Predict, workspace: Workspace, manifest: Manifest, images: Header) -> Chosen:
    """The heads that predict pictures with some features.

    Raises UsageError where one that is named does not fit, where none can say probabilities, and where heads of
    several recipes are left, which it lists.
    """
    if set(request.head) == {NO_HEAD}:
        return Chosen()
    kept, damaged = heads_in(workspace.cache.heads)
    named = {one[1].id: one for text in request.head for one in choose_heads(text, kept, damaged=damaged)}
    if request.head:
        _refuse_unfitting(list(named.values()), request, manifest, images)
    else:
        note_damaged(workspace, damaged)
    fitting = [one for one in named.values() or kept if not _why_not(one[1], request, manifest, images)]
    recipes: dict[str, list[Kept]] = defaultdict(list)
    for one in fitting:
        recipes[one[1].recipe].append(one)
    if len(recipes) > 1:
        raise UsageError(_several(list(recipes.values())))
    found = [_loaded(path, card, images) for path, card in fitting]
    return Chosen(tuple(card for _, card in fitting), tuple(found))


def _why_not(card: HeadCard, request: Predict, manifest: Manifest, images: Header) -> str:
    return (
        other_features(card, images)
        or other_classes(card, manifest)
        or other_folds(card, manifest)
        or longer_clips(card, manifest, request.frames)
    )


def _refuse_unfitting(named: Sequence[Kept], request: Predict, manifest: Manifest, images: Header) -> None:
    reasons = [_why_not(card, request, manifest, images) for _, card in named]
    if all(reasons):
        raise UsageError(f"{option('head')} {', '.join(request.head)}: {reasons[0]}")


def _several(recipes: Sequence[Sequence[Kept]]) -> str:
    """What to choose from."""
    lines = []
    for some in recipes[:_LISTED]:
        card = some[0][1]
        seeds = f", {len(some)} seeds" if len(some) > 1 else ""
        words = " ".join(f"{option('head')} {one.id}" for _, one in some)
        trained = f", trained on {card.train}" if card.train else ""
        lines.append(f"{without_seed(card)}{trained}{seeds}: {words}")
    more = f"; and {len(recipes) - _LISTED} more" if len(recipes) > _LISTED else ""
    return (
        f"heads of {len(recipes)} recipes fit: choose one of them, or {option('head')} {NO_HEAD}: "
        f"{'; '.join(lines)}{more}"
    )


def without_seed(card: HeadCard) -> str:
    """What a head is called, all seeds of it alike."""
    return replace(card, seed=None).label


def _loaded(path: Path, card: HeadCard, images: Header) -> Head | Classifier:
    head = load_head(path, card)
    refuse_other_width(card, head, images)
    if isinstance(head, Classifier) and not gives_logits(head):
        raise UsageError(
            f"head {card.id} ({card.label}) gives scores that are no logits, so that no probabilities follow from "
            f"them: choose another {option('head')}"
        )
    if folds_of(head):
        raise UsageError(
            f"head {card.id} ({card.label}) is one for each fold, and nobody knows which a picture is in: choose "
            f"another {option('head')}"
        )
    return head
