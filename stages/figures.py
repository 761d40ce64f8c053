"""`expclip figures`: pictures of what cached features say, for papers and for looking."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from matplotlib.figure import Figure

from ..cache.files import writing
from ..errors import UsageError
from ..reports.figures import literal_text
from .evaluate import evaluate
from .figure_subject import Drawing, Figures, Subject
from .figures_of_embeddings import draw_retrieval, draw_tsne, draw_variance
from .figures_of_scores import draw_confusion, draw_samples
from .scoring import Scoring
from .workspace import Workspace

KINDS: dict[str, Callable[[Subject], Figures]] = {
    "confusion": draw_confusion,
    "samples": draw_samples,
    "variance": draw_variance,
    "tsne": draw_tsne,
    "retrieval": draw_retrieval,
}
FORMATS = ("png", "pdf")


@literal_text
def figures(
    workspace: Workspace, datasets: Sequence[str], scoring: Scoring, out: Path, drawing: Drawing | None = None
) -> list[Path]:
    """Draw figures of every data set and backbone into `out`, each as PNG and PDF; returns the files.

    Only cached features are used, but for descriptions, which are encoded once. Sample predictions need the pictures
    too, and are left out where these are gone. Raises UsageError where something is not cached or not known.
    """
    drawing = drawing or Drawing()
    kinds = _kinds(drawing)
    return [
        path
        for subject in _subjects(workspace, datasets, replace(scoring, cached_only=True, intervals=False), drawing)
        for kind in kinds
        for name, figure in KINDS[kind](subject)
        for path in _save(figure, out, name)
    ]


def _kinds(drawing: Drawing) -> Sequence[str]:
    if drawing.kinds is None:
        return [kind for kind in KINDS if kind != "retrieval" or drawing.descriptions is not None]
    for kind in drawing.kinds:
        if kind not in KINDS:
            raise UsageError(f"--kind {kind!r}: choose {', '.join(KINDS)}")
    if drawing.descriptions is not None and "retrieval" not in drawing.kinds:
        raise UsageError("--descriptions is of use for --kind retrieval only: add it, or leave the file out")
    return list(dict.fromkeys(drawing.kinds))


def _subjects(workspace: Workspace, datasets: Sequence[str], scoring: Scoring, drawing: Drawing) -> Iterator[Subject]:
    for dataset in dict.fromkeys(datasets):
        for clip in dict.fromkeys(scoring.clips):
            of_one = replace(scoring, clips=[clip])
            yield Subject(workspace, dataset, clip, of_one, drawing, evaluate(workspace, [dataset], of_one))


def _save(figure: Figure, out: Path, name: str) -> list[Path]:
    paths = [out / f"{name}.{suffix}" for suffix in FORMATS]
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        for path in paths:
            figure.savefig(path, dpi=130)
    return paths
