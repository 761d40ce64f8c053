"""The ordinary requests that fit and score what rows of the paper's tables need."""

from collections.abc import Iterable, Sequence
from typing import Any

from ...commands import options
from ...commands.evaluate import Evaluate
from ...commands.fit_head import FitHead
from ...commands.reproduce import Reproduce
from ...encoders.families import family_of
from ...heads.objectives import OBJECTIVES
from ...manifests.paper import RowOfPaper


def fit_request(request: Reproduce, rows: Sequence[RowOfPaper]) -> FitHead:
    """What fits the heads of rows with one kind of head."""
    return FitHead(
        train=request.train,
        clip=clips_of(rows) or options.CLIP.default,
        teacher=request.teacher,
        instruction=instructions_of(rows) or options.INSTRUCTION.default,
        protocol=request.protocol,
        head=(rows[0].head,) if rows[0].needs_head else ("linear",),
        objective=rows[0].objective if rows[0].objective in OBJECTIVES else "infonce",
        cache=request.cache,
    )


def clips_of(rows: Iterable[RowOfPaper]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(row.backbone for row in rows if row.backbone))


def instructions_of(rows: Iterable[RowOfPaper]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for row in rows for name in row.instructions))


def evaluate_request(request: Reproduce, datasets: Sequence[str], **asked: Any) -> Evaluate:
    """An evaluation of some data sets in the setting of a request."""
    how: dict[str, Any] = {name: getattr(request, name) for name in ("protocol", "dtype", "cache", "frames")}
    return Evaluate(datasets=tuple(datasets), **how | asked)


def frames_of(request: Reproduce, backbone: str) -> str:
    """The frames of a clip that a backbone is scored by: those that its clip head was made for, if it has one."""
    own = family_of("clip", backbone).code.clip_head if backbone else None
    return own.frames if own else request.frames
