"""The heads once more, from torch's own layers in float64, for tests that compare."""

from itertools import pairwise

import numpy as np
import torch
from torch import nn


class Tokens(nn.Module):
    """One pre-norm encoder layer over an embedding cut into tokens of 64 numbers, then a linear layer."""

    def __init__(self, width: int, teacher_width: int, token: int):
        super().__init__()
        self.position = nn.Parameter(torch.empty(width // token, token))
        self.layer = nn.TransformerEncoderLayer(
            token, max(1, token // 16), 4 * token, dropout=0, activation="gelu", batch_first=True, norm_first=True
        )
        self.last = nn.Linear(width, teacher_width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        cut = x.reshape(len(x), *self.position.shape)
        return self.last(self.layer(cut + self.position).reshape(len(x), -1))


OTHER_NAMES = {
    "qkv.": "layer.self_attn.in_proj_",
    "out.": "layer.self_attn.out_proj.",
    "up.": "layer.linear1.",
    "down.": "layer.linear2.",
    "norm1.": "layer.norm1.",
    "norm2.": "layer.norm2.",
}


def module(kind: str, tensors: dict[str, np.ndarray]) -> nn.Module:
    """A float64 module with the weights of a head's file."""
    if kind == "transformer":
        (tokens, token), (out, width) = tensors["position"].shape, tensors["last.weight"].shape
        assert tokens * token == width
        built = Tokens(width, out, token)
        renamed = {_other_name(name): value for name, value in tensors.items()}
    elif kind in ("linear", "ridge"):
        built = nn.Linear(*reversed(tensors["weight"].shape), bias=False)
        renamed = tensors
    else:
        layers = int(kind.removeprefix("mlp"))
        matrices = [tensors[f"{k}.weight"] for k in range(layers)]
        widths = [matrices[0].shape[1], *(len(matrix) for matrix in matrices)]
        assert widths[1:-1] == [2 * widths[0]] * (layers - 1)
        hidden = [(nn.Linear(a, b), nn.ReLU()) for a, b in pairwise(widths[:-1])]
        built = nn.Sequential(*(one for pair in hidden for one in pair), nn.Linear(*widths[-2:], bias=False))
        renamed = {f"{2 * int(name[0])}{name[1:]}": value for name, value in tensors.items()}
    built.load_state_dict({name: torch.from_numpy(value) for name, value in renamed.items()})
    return built.double()


def _other_name(name: str) -> str:
    ours = next((prefix for prefix in OTHER_NAMES if name.startswith(prefix)), "")
    return OTHER_NAMES.get(ours, "") + name.removeprefix(ours)


def project(kind: str, tensors: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """(n, L) to (n, L'), in float64; without a head, the same."""
    if kind == "none":
        return x.astype(np.float64)
    with torch.no_grad():
        return module(kind, tensors)(torch.from_numpy(x.astype(np.float64))).numpy()
