"""Which adaptations an evaluation is asked for, and why one cannot be done."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ...commands.evaluate import NO_ADAPTATION, Evaluate
from ...commands.unused import note_unused
from ...errors import UsageError, brief, option
from ...heads.recipe import LOGIT_SCALE
from ...manifests.manifest import NO_FOLD, NO_LABEL, Manifest
from ...manifests.prompts import PromptSet
from ...reports.console import say
from ...scoring.adaptation import FEWEST, PRIOR, Adaptation
from .asked import Asked

_LEAST = 0.0001
"""A share that the mean prediction can be made to match, whatever the scores."""
_ROUNDING = 0.01
"""How far the sum of given shares may be from one."""


def adaptations(request: Evaluate) -> list[Adaptation | None]:
    """Those that are asked for, each once; None is none. Raises UsageError for a prior that cannot be meant."""
    ways = list(dict.fromkeys(request.adapt))
    shares = _shares(request.prior)
    if PRIOR not in ways:
        note_unused(request, "prior", f"nothing is adapted by {PRIOR}")
    given = {PRIOR: shares} if shares else {}
    return [None if how == NO_ADAPTATION else Adaptation(how, LOGIT_SCALE, given.get(how)) for how in ways]


def _shares(words: Sequence[str]) -> dict[str, float]:
    """The share of each class, from CLASS=SHARE, one or several with commas between them."""
    found: dict[str, float] = {}
    for one in (part for word in words for part in word.split(",")):
        name, is_said, number = (part.strip() for part in one.rpartition("="))
        share = _number(number)
        if not is_said or not name or not (_LEAST <= share <= 1):
            raise UsageError(f"{option('prior')} {brief(one)}: give CLASS=SHARE, with a share from {_LEAST} to 1")
        if name in found:
            raise UsageError(f"{option('prior')} {brief(one)}: {name} has a share already")
        found[name] = share
    total = math.fsum(found.values())
    if found and abs(total - 1) > _ROUNDING:
        raise UsageError(f"{option('prior')}: the shares sum to {total:g}, and expected is 1: give them anew")
    return {name: share / total for name, share in found.items()}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def refuse_unadaptable(
    manifest: Manifest, prompt_sets: Iterable[PromptSet], ways: Iterable[Adaptation | None]
) -> None:
    """Raise UsageError where a data set cannot be adapted to: it has one class or too few samples, or other classes
    than a prior."""
    for by in ways:
        if by is not None:
            _refuse_one_class(manifest, prompt_sets, by)
            _refuse_few(manifest, by)
            if by.shares:
                _refuse_other_classes(manifest, by.shares)


def _refuse_one_class(manifest: Manifest, prompt_sets: Iterable[PromptSet], by: Adaptation) -> None:
    told_apart = {manifest.label: list(manifest.classes)}
    for one in prompt_sets:
        told_apart[f"{one.name} for {manifest.label}"] = [name for name in manifest.classes if name in one.prompts]
    for where, classes in told_apart.items():
        if len(classes) < FEWEST:
            raise UsageError(
                f"{option('adapt')} {by.how}: two classes or more are expected, and {where} has "
                f"{', '.join(classes) or 'none'} alone"
            )


def _refuse_few(manifest: Manifest, by: Adaptation) -> None:
    folds, counts = np.unique(manifest.folds[manifest.labels != NO_LABEL], return_counts=True)
    for fold, count in zip(folds.tolist(), counts.tolist(), strict=True):
        if count < FEWEST:
            where = manifest.label if fold == NO_FOLD else f"fold {fold} of {manifest.label}"
            raise UsageError(
                f"{option('adapt')} {by.how}: {where} has {count} sample with a label, and expected are {FEWEST} or "
                f"more: they are looked at together"
            )


def _refuse_other_classes(manifest: Manifest, shares: Mapping[str, float]) -> None:
    if set(shares) != set(manifest.classes):
        raise UsageError(
            f"{option('prior')}: a share of each class of {manifest.label} is expected, which has "
            f"{', '.join(manifest.classes)}; found are {', '.join(shares)}"
        )


def note_unadapted(ways: Sequence[Adaptation | None], asked: Asked) -> None:
    """Say which heads are left out of an adaptation. Raises UsageError where nothing that is asked for is left."""
    heads = {one.card.id if one.card else "": one.head for one in asked.known}
    pairs = [(by, name, head) for by in ways for name, head in heads.items()]
    left_out = [(by, name, why) for by, name, head in pairs if by is not None and (why := by.why_not(head))]
    if pairs and len(left_out) == len(pairs) and not any(asked.llm_alone.values()):
        by, name, why = left_out[0]
        raise UsageError(f"{option('adapt')} {by.how}: head {name} {why}: choose other heads, or adapt otherwise")
    for by, name, why in left_out:
        say(f"note: head {name} {why}: it is left out of {by.how}")
