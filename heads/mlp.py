"""The MLP heads of Exp-CLIP's table 4.

Their sizes are unpublished. Ours: hidden layers are 2 L wide, with a bias and a ReLU each; the last layer is the
linear head's, L' wide and without bias. With L = 768 and L' = 4096, two layers have 7.5 million weights, three 9.8,
and the linear head 3.1.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch.nn.functional import relu

from ..encoders.products import linear
from .linear_fit import initial_weight
from .network import Network, initial_layer, trainer


def _widths(layers: int, width: int, teacher_width: int) -> list[int]:
    """Widths between the layers, from L to L'."""
    return [width, *[2 * width] * (layers - 1), teacher_width]


def _sizes(layers: int, width: int, teacher_width: int) -> dict[str, Any]:
    return {"widths": _widths(layers, width, teacher_width), "activation": "relu", "bias": "hidden"}


def _initial(
    layers: int, width: int, teacher_width: int, generator: torch.Generator | None
) -> dict[str, torch.Tensor]:
    *hidden, last = range(layers)
    widths = _widths(layers, width, teacher_width)
    weights = {}
    for k in hidden:
        weights |= initial_layer(widths[k], widths[k + 1], generator, f"{k}")
    return weights | {f"{last}.weight": initial_weight(widths[last], teacher_width, generator)}


def _project(layers: int, weights: Mapping[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    *hidden, last = range(layers)
    for k in hidden:
        x = relu(linear(x, weights[f"{k}.weight"], weights[f"{k}.bias"]))
    return linear(x, weights[f"{last}.weight"])


def mlp(layers: int) -> Network:
    """A multi-layer perceptron of some linear layers."""
    ends = "0.weight", f"{layers - 1}.weight"
    return Network(partial(_initial, layers), partial(_project, layers), partial(_sizes, layers), ends)


TWO_LAYERS, THREE_LAYERS = trainer(mlp(2)), trainer(mlp(3))
