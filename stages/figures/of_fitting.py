"""Figures of how heads were fitted."""

from collections import defaultdict

import numpy as np

from ...heads.saving import read_step_losses
from ...reports.curves import curves_figure
from .subject import Named, Subject


def draw_curves(subject: Subject) -> Named:
    """The loss of each step of the heads in the cache, by objective and row; the seeds of a row in one colour."""
    curves: dict[str, dict[str, list[np.ndarray]]] = defaultdict(lambda: defaultdict(list))
    for label, scores in subject.rows.items():
        for of in (score.of for score in scores if score.of.head_id):
            losses = read_step_losses(subject.reader.workspace.cache.heads / of.head_id)
            if losses is not None:
                curves[of.objective][label].append(losses)
    figure = curves_figure(curves, subject.title("loss while fitting")) if curves else None
    yield f"curves-{subject.name}", figure or "none of these heads has its losses kept: fit it again"
