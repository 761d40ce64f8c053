"""Figures of how heads were fitted."""

from collections import defaultdict

import numpy as np

from ...errors import UsageError
from ...heads.saving import read_step_losses
from ...pipeline.workspace import Workspace
from ...reports.curves import curves_figure
from ...reports.tables import rows_by_head
from .subject import MOST_ROWS, Named, Subject


def draw_curves(subject: Subject) -> Named:
    """The loss of each step of the heads in the cache, by objective and row; the seeds of a row in one colour."""
    curves: dict[str, dict[str, list[np.ndarray]]] = defaultdict(lambda: defaultdict(list))
    each = {one.of.head_id: one for one in subject.found.scores if one.of.head_id and one.is_overall}
    for label, scores in list(rows_by_head([*each.values()]).items())[:MOST_ROWS]:
        for of in (score.of for score in scores):
            losses = _losses(subject.reader.workspace, of.head_id)
            if losses is not None:
                curves[of.objective][label].append(losses)
    title = subject.title("loss while fitting", [*each.values()]) if curves else ""
    figure = curves_figure(curves, title) if curves else None
    yield f"curves-{subject.name}", figure or "none of these heads has its losses kept: fit it again"


def _losses(workspace: Workspace, head: str) -> np.ndarray | None:
    """(steps,) of a head, None where there are none that can be shown."""
    try:
        return read_step_losses(workspace.cache.heads / head)
    except UsageError as error:
        workspace.remark("note", f"{error}; its curve is left out")
        return None
