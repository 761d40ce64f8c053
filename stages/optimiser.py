"""How heads are trained step by step, where the request leaves it open."""

from typing import Any

from ..commands.fit_head import FitHead
from ..encoders.cards import fitting
from ..heads.kinds import KINDS
from ..heads.recipe import RELEASED, Recipe


def optimiser_of(request: FitHead, teacher: str, head: str = "linear") -> dict[str, Any]:
    """How heads are trained step by step; what the request leaves open is as released, or as suits the teacher."""
    usual = RELEASED | (fitting(teacher) if request.objective == "infonce" else {}) | dict(KINDS[head].usual)
    precision = {"precision": request.precision} if KINDS[head].learns_from == "teacher" else {}
    return {
        "name": "sgd",
        "epochs": request.epochs or usual["epochs"],
        "batch_size": request.batch_size if _is_given(request, "batch_size") else usual["batch_size"],
        "lr": request.lr or usual["lr"],
        "momentum": request.momentum,
        "weight_decay": request.weight_decay,
    } | precision


def _is_given(request: FitHead, name: str) -> bool:
    """Whether a number is asked for: it was typed, or is another than what stands there otherwise."""
    return name in request.typed or getattr(request, name) != getattr(Recipe, name)
