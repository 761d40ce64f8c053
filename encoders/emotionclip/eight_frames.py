"""EmotionCLIP's clip head: a transformer over eight frames whose output is added to them, and then the mean.

Post-norm blocks as in torch's TransformerEncoder, with exact GELU and a last norm.
"""

from collections.abc import Mapping

import torch
from torch.nn.functional import gelu, layer_norm, linear, scaled_dot_product_attention

from .emotionclip_file import HEADS

Weights = Mapping[str, torch.Tensor]


def clip_embeddings(weights: Weights, frames: torch.Tensor) -> torch.Tensor:
    """(n, L), not normalised, from the frames (n, 8, L) of clips."""
    x = frames + weights["positions"]
    for k in range(sum(name.endswith(".in_proj_weight") for name in weights)):
        layer = f"layers.{k}."
        x = _normed(weights, f"{layer}norm1", x + _attended(weights, f"{layer}self_attn.", x))
        hidden = gelu(_layer(weights, f"{layer}linear1", x))
        x = _normed(weights, f"{layer}norm2", x + _layer(weights, f"{layer}linear2", hidden))
    return (_normed(weights, "norm", x) + frames).mean(dim=1)


def _attended(weights: Weights, of: str, x: torch.Tensor) -> torch.Tensor:
    n, t, width = x.shape
    every = linear(x, weights[f"{of}in_proj_weight"], weights[f"{of}in_proj_bias"])
    # (n, t, 3 · L) → three of (n, heads, t, L / heads)
    q, k, v = every.reshape(n, t, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
    seen = scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, width)
    return _layer(weights, f"{of}out_proj", seen)


def _layer(weights: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
    return linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])


def _normed(weights: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
    return layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"])
