"""`expclip figures`: pictures of what cached features say, for papers and for looking."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ..cache.files import writing
from ..encoders.images import ImageError
from ..encoders.pictures import read_pictures
from ..errors import UsageError
from ..heads.recipe import LOGIT_SCALE
from ..reports.comparison import comparison_figure
from ..reports.samples import Sample, probabilities, samples_figure
from ..reports.scores import ALL, MEAN, Predictions, Score
from ..reports.tables import rows_by_head
from .evaluate import Evaluation, Scoring, evaluate
from .workspace import Workspace

KINDS = ("confusion", "samples")
FORMATS = ("png", "pdf")
_SAMPLES = 8


@dataclass(frozen=True)
class Drawing:
    """Which figures are drawn."""

    kinds: Sequence[str] = KINDS
    seed: int = 0
    """Of the choice of samples."""

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if kind not in KINDS:
                raise UsageError(f"--kind {kind!r}: choose {', '.join(KINDS)}")


def figures(
    workspace: Workspace, datasets: Sequence[str], scoring: Scoring, out: Path, drawing: Drawing | None = None
) -> list[Path]:
    """Draw figures of every data set, backbone and prompt set into `out`, each as PNG and PDF; returns the files.

    Only cached features are used; sample predictions need the pictures too, and are left out where these are gone.
    """
    drawing = drawing or Drawing()
    found = evaluate(workspace, datasets, replace(scoring, cached_only=True))
    drawn: dict[str, Figure] = {}
    for name, part in _parts(found).items():
        rows = rows_by_head([score for score in part.scores if score.fold in (ALL, MEAN)])
        if "confusion" in drawing.kinds:
            drawn[f"confusion-{name}"] = comparison_figure(rows)
        if "samples" in drawing.kinds:
            sheet = _sample_sheet(part.predictions, rows, drawing.seed)
            if sheet:
                drawn[f"samples-{name}"] = sheet
    return [path for name, figure in drawn.items() for path in _save(figure, out, name)]


def _parts(found: Evaluation) -> dict[str, Evaluation]:
    """The evaluation cut by data set, backbone and prompt set."""
    parts: dict[str, Evaluation] = defaultdict(lambda: Evaluation([], []))
    for score in found.scores:
        parts[score.of.setting_slug].scores.append(score)
    for predictions in found.predictions:
        parts[predictions.of.setting_slug].predictions.append(predictions)
    return parts


def _sample_sheet(predictions: Sequence[Predictions], rows: dict[str, list[Score]], seed: int) -> Figure | None:
    """Samples drawn at random, one a class while there are classes; the first head of each row predicts."""
    first = predictions[0]
    manifest = first.manifest
    by_head = {one.of.head_id: one for one in predictions}
    firsts = [by_head[scores[0].of.head_id] for scores in list(rows.values())[:4]]
    shown = {one.of.seed_label: one for one in firsts}
    chosen = _choose(manifest.labels[first.samples], seed)
    likely = {label: probabilities(one.similarity, LOGIT_SCALE) for label, one in shown.items()}
    clips = manifest.samples(first.of.frames or "image")
    samples = []
    for k in chosen.tolist():
        sample = int(first.samples[k])
        frames = clips.indices[clips.offsets[sample] : clips.offsets[sample + 1]]
        row = int(frames[len(frames) // 2])
        path = Path(manifest.root) / manifest.rows.sources[row]
        ((_, picture),) = read_pictures(path, [int(manifest.rows.frames[row])])
        if isinstance(picture, ImageError):
            continue
        truth = int(manifest.labels[sample])
        samples.append(Sample(np.asarray(picture), truth, {label: values[k] for label, values in likely.items()}))
    title = f"{first.of.dataset} · {first.of.backbone} · {first.of.prompts}"
    return samples_figure(samples, manifest.classes, title) if samples else None


def _choose(labels: np.ndarray, seed: int) -> np.ndarray:
    """Positions of a few random samples, in the order of their classes, every class once before any twice."""
    order = np.random.default_rng(seed).permutation(len(labels))
    turn = np.empty(len(labels), dtype=int)
    for label in np.unique(labels):
        here = order[labels[order] == label]
        turn[here] = np.arange(len(here))
    chosen = order[np.argsort(turn[order], kind="stable")][:_SAMPLES]
    return chosen[np.argsort(labels[chosen], kind="stable")]


def _save(figure: Figure, out: Path, name: str) -> list[Path]:
    paths = [out / f"{name}.{suffix}" for suffix in FORMATS]
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        for path in paths:
            figure.savefig(path, dpi=130)
    return paths
