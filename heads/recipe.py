"""How a head is fitted."""

from dataclasses import dataclass

LOGIT_SCALE = 100.0
"""exp(logit_scale) of OpenAI's CLIP models, frozen as in Exp-CLIP's released code."""

RELEASED = {"lr": 1e-3, "epochs": 5, "batch_size": 512}
"""As Exp-CLIP's released script runs it, where neither the request nor the teacher's card says otherwise."""

MOST_SEED = 2**32 - 1
"""Of what is trained: of a larger one torch's generator keeps 32 bits, so that it would be another seed again."""

PRECISIONS = ("float32", "bfloat16")
"""Dtypes of matrix products."""

RIDGE_LAMBDA = 1e-2
"""As a share of the mean eigenvalue of (1/n) XᵀX. Tens of thousands of faces determine most directions of the weights
without it; it keeps those in which faces hardly differ from being amplified."""


@dataclass(frozen=True)
class Recipe:
    """The options of fitting; the defaults are those of Exp-CLIP's released code."""

    objective: str = "infonce"
    """A name of `objectives.OBJECTIVES`."""
    logit_scale: float = LOGIT_SCALE
    """Of infonce."""
    epochs: int = 5
    batch_size: int = 512
    lr: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 1e-4
    seed: int = 1
    precision: str = "float32"
    """The dtype of the matrix products, one of PRECISIONS."""
    device: str = "cpu"
    ridge_lambda: float = RIDGE_LAMBDA
    """Of ridge, which needs nothing else of these."""
