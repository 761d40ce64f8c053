"""DFER-CLIP's temporal model: a transformer encoder over the frames of a clip, whose class token stands for the clip.

Pre-norm blocks, positions that are learnt, GELU by its tanh, no norm at the end. EmoCLIP has the same blocks in other
sizes, which the weights themselves say. Source: Zhao and Patras, BMVC 2023, and its released code.
"""

from collections.abc import Mapping

import torch
from torch.nn.functional import gelu, layer_norm, scaled_dot_product_attention

from ..encoders.products import linear
from .network import initial_layer

HEADS, HEAD_WIDTH = 8, 64
FRAMES = 16
"""Of a clip, at most."""
MLP = 2
"""Width of the hidden layer, as a multiple of L."""

Weights = Mapping[str, torch.Tensor]


def initial_weights(width: int, generator: torch.Generator | None, depth: int = 1) -> dict[str, torch.Tensor]:
    """Weights for frames (n, T, L) of width L, T up to 16, drawn in the order of their names."""
    inner = HEADS * HEAD_WIDTH
    weights = {
        "class_token": torch.empty(width).normal_(generator=generator),
        "positions": torch.empty(FRAMES + 1, width).normal_(generator=generator),
    }
    for block in map(str, range(depth)):
        weights |= {
            f"{block}.qkv.weight": initial_layer(width, 3 * inner, generator, "qkv")["qkv.weight"],
            **initial_layer(inner, width, generator, f"{block}.out"),
            **initial_layer(width, MLP * width, generator, f"{block}.up"),
            **initial_layer(MLP * width, width, generator, f"{block}.down"),
        }
        for norm in (f"{block}.norm1", f"{block}.norm2"):
            weights |= {f"{norm}.weight": torch.ones(width), f"{norm}.bias": torch.zeros(width)}
    return weights


def clip_embeddings(weights: Weights, frames: torch.Tensor) -> torch.Tensor:
    """(n, L), not normalised, from the frames (n, T, L) of clips of one length."""
    n, t, width = frames.shape
    x = torch.cat([weights["class_token"].expand(n, 1, width), frames], dim=1) + weights["positions"][: t + 1]
    depth = sum(name.endswith(".qkv.weight") for name in weights)
    for block in map(str, range(depth)):
        x = x + _attended(weights, block, _normed(weights, f"{block}.norm1", x))
        x = x + _layer(weights, f"{block}.down", _up(weights, block, _normed(weights, f"{block}.norm2", x)))
    return x[:, 0]


def _up(weights: Weights, block: str, x: torch.Tensor) -> torch.Tensor:
    return gelu(_layer(weights, f"{block}.up", x), approximate="tanh")


def _attended(weights: Weights, block: str, x: torch.Tensor) -> torch.Tensor:
    n, t, _ = x.shape
    # (n, t, 3 · inner) → three of (n, heads, t, width of a head)
    q, k, v = linear(x, weights[f"{block}.qkv.weight"]).reshape(n, t, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
    return _layer(weights, f"{block}.out", scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, -1))


def _layer(weights: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
    return linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])


def _normed(weights: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
    return layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"])
