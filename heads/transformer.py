"""The transformer encoder of Exp-CLIP's table 4.

Its sizes are unpublished. Ours: one pre-norm encoder layer over the embedding cut into tokens of 64 numbers
(attention over the embedding as one token would only be another linear map), with learnt positions, attention heads
of 16 and an MLP of 4 × 64 with a GELU; the tokens are joined again, and the last layer is the linear head's, L' wide
and without bias. The skip connections carry the embedding through: it starts as a linear head with a correction.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch.nn.functional import gelu, layer_norm, scaled_dot_product_attention

from ..encoders.products import linear
from .linear_fit import initial_weight
from .network import Network, initial_layer, trainer

TOKEN = 64
"""Numbers a token; where they do not divide L, the largest width that divides both."""
HEAD = 16
"""Numbers an attention head."""
MLP = 4
"""Width of the hidden layer, as a multiple of a token's."""


def _sizes(width: int, _teacher_width: int) -> dict[str, Any]:
    token = math.gcd(width, TOKEN)
    shape = {"tokens": width // token, "width": token, "heads": _heads(token), "mlp": MLP * token}
    return {"layers": 1, "norm": "first", "activation": "gelu", **shape}


def _heads(token: int) -> int:
    return max(1, token // HEAD)


def _initial(width: int, teacher_width: int, generator: torch.Generator | None) -> dict[str, torch.Tensor]:
    token = math.gcd(width, TOKEN)
    return {
        "position": torch.empty(width // token, token).normal_(0, 0.02, generator=generator),
        **initial_layer(token, 3 * token, generator, "qkv"),
        **initial_layer(token, token, generator, "out"),
        **initial_layer(token, MLP * token, generator, "up"),
        **initial_layer(MLP * token, token, generator, "down"),
        "last.weight": initial_weight(width, teacher_width, generator),
        **{f"{norm}.weight": torch.ones(token) for norm in ("norm1", "norm2")},
        **{f"{norm}.bias": torch.zeros(token) for norm in ("norm1", "norm2")},
    }


def _project(weights: Mapping[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    def layer(name: str, x: torch.Tensor) -> torch.Tensor:
        return linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def norm(name: str, x: torch.Tensor) -> torch.Tensor:
        return layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"])

    n, (tokens, width) = len(x), weights["position"].shape
    stream = x.reshape(n, tokens, width) + weights["position"]
    # (n, tokens, 3 · width) → three of (n, heads, tokens, width of a head)
    q, k, v = layer("qkv", norm("norm1", stream)).reshape(n, tokens, 3, _heads(width), -1).permute(2, 0, 3, 1, 4)
    attended = scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, tokens, width)
    stream = stream + layer("out", attended)
    stream = stream + layer("down", gelu(layer("up", norm("norm2", stream))))
    return linear(stream.reshape(n, -1), weights["last.weight"])


TRANSFORMER = Network(_initial, _project, _sizes, ("last.weight", "last.weight"))
TRAINER = trainer(TRANSFORMER)
