"""Pictures of what cached features say, for papers and for looking."""

from collections.abc import Collection, Iterator
from dataclasses import fields
from pathlib import Path

from ...cache.result_folder import new_results
from ...cache.run_note import Run
from ...commands.evaluate import NO_PREDICTIONS, PREDICTIONS, Evaluate
from ...commands.figures import KINDS, NOT_USUAL, Figures
from ...commands.request import given
from ...commands.unused import note_unused
from ...manifests.own_output import older_figures
from ...pipeline.checks import refuse_folder
from ...scoring.scores import Evaluation
from ..evaluate.compared import compared
from ..evaluate.evaluate import score
from .described import refuse_undescribed
from .subject import Subject


def figures(request: Figures) -> list[Path]:
    """Draw figures of every data set and backbone into `out`, each as PNG and PDF; returns the files.

    They take the place of what an earlier run drew there, all at once; where none can be drawn, that stays. Only
    cached features are used, but for descriptions, which are encoded once. Sample predictions need the pictures too,
    and are not drawn where these are gone. Raises UsageError where something is not cached or not known. What cannot
    be drawn is said.
    """
    refuse_folder(request.out)
    usual = [kind for kind in KINDS if kind not in NOT_USUAL]
    every = [kind for kind in usual if kind != "retrieval" or request.descriptions is not None]
    kinds = dict.fromkeys(request.kind or every)
    if not kinds.keys() & {"samples", "tsne"}:
        note_unused(request, "seed", "none of these figures is drawn at random")
    taken: set[str] = set()
    names: list[str] = []
    with new_results(request.out, Run(request.verb, request.command(), older_figures)) as made:
        for subject in _subjects(request, kinds):
            from .drawn import draw  # by matplotlib, which nothing before this needs

            names += draw(subject, kinds, made, taken)
    return [request.out / name for name in names]


def _subjects(request: Figures, kinds: Collection[str]) -> Iterator[Subject]:
    shared = {one.name for one in fields(Evaluate)} & {one.name for one in fields(Figures)} - {"out"}  # pyright: ignore[reportArgumentType]
    asked = {name: getattr(request, name) for name in shared}
    predictions = PREDICTIONS[0] if "samples" in kinds else NO_PREDICTIONS
    evaluation = given(
        Evaluate(**asked, cached_only=True, intervals=False, predictions=predictions),
        request.typed,
        request.typed.__getitem__,
    )
    for one in compared(evaluation, refuse_undescribed(request.descriptions)):
        found = Evaluation([], [])
        score(one, intervals=False, found=found)
        yield Subject(request, one.comparisons, found, one.reader)
