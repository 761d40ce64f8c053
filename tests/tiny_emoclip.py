"""An EmoCLIP with random weights in the forms of the published files, and its temporal model, plainly in float64."""

from pathlib import Path

import numpy as np
import open_clip
import torch
from tiny_emotionclip import TINY, tiny_clip

WIDTH, HEADS, HEAD_WIDTH, MLP, LAYERS = 16, 8, 32, 24, 2
_BLOCK = {
    "0.fn.norm.weight": (WIDTH,),
    "0.fn.norm.bias": (WIDTH,),
    "0.fn.fn.to_qkv.weight": (3 * HEADS * HEAD_WIDTH, WIDTH),
    "0.fn.fn.to_out.0.weight": (WIDTH, HEADS * HEAD_WIDTH),
    "0.fn.fn.to_out.0.bias": (WIDTH,),
    "1.fn.norm.weight": (WIDTH,),
    "1.fn.norm.bias": (WIDTH,),
    "1.fn.fn.net.0.weight": (MLP, WIDTH),
    "1.fn.fn.net.0.bias": (MLP,),
    "1.fn.fn.net.3.weight": (WIDTH, MLP),
    "1.fn.fn.net.3.bias": (WIDTH,),
}


def tiny_openai() -> open_clip.CLIP:
    """A CLIP with QuickGELU."""
    return tiny_clip(quick_gelu=True)


def temporal() -> dict[str, torch.Tensor]:
    """The temporal model, named as it is published."""
    generator = torch.Generator().manual_seed(11)
    shapes = {"cls_token": (1, 1, WIDTH), "pos_embedding": (1, 1024, WIDTH)}
    for k in range(LAYERS):
        shapes |= {f"temporal_transformer.layers.{k}.{name}": shape for name, shape in _BLOCK.items()}
    return {name: torch.empty(shape).normal_(std=0.5, generator=generator) for name, shape in shapes.items()}


def tensors(layout: str, **changes: torch.Tensor | None) -> dict[str, torch.Tensor]:
    """The state dict of the `whole` model or of its `downstream` task; tensors may be changed or left out (None)."""
    clip = tiny_openai().state_dict()
    if layout == "whole":
        every = {f"backbone.{name}": value for name, value in clip.items()} | {"logit_scale": torch.tensor(4.0)}
    else:
        visual = {name.removeprefix("visual."): value for name, value in clip.items() if name.startswith("visual.")}
        every = {f"backbone.{name}": value for name, value in visual.items()}
        every |= {"mlp.0.weight": torch.ones(8, WIDTH), "mlp.2.bias": torch.ones(7)}
    every |= {f"temporal.{name}": value for name, value in temporal().items()}
    return {name: value for name, value in (every | changes).items() if value is not None}


def write_emoclip(file: Path, state: dict[str, torch.Tensor]) -> Path:
    """Write it as a training on several GPUs does."""
    torch.save({f"module.{name}": value for name, value in state.items()}, file)
    return file


def clips_by_hand(frames: np.ndarray) -> np.ndarray:
    """(n, L) float64 of frames (n, T, L), every sum written out."""
    state = {name: value.double().numpy() for name, value in temporal().items()}
    n, t, _ = frames.shape
    first = np.broadcast_to(state["cls_token"], (n, 1, WIDTH))
    x = np.concatenate([first, frames], axis=1) + state["pos_embedding"][:, : t + 1]
    for k in range(LAYERS):
        block = {name: state[f"temporal_transformer.layers.{k}.{name}"] for name in _BLOCK}
        y = _normed(x, block, "0.fn.norm")
        q, key, v = np.split(y @ block["0.fn.fn.to_qkv.weight"].T, 3, axis=2)
        seen = np.empty((n, t + 1, HEADS * HEAD_WIDTH))
        for head in range(HEADS):
            part = slice(head * HEAD_WIDTH, (head + 1) * HEAD_WIDTH)
            weights = np.exp(np.einsum("nid,njd->nij", q[..., part], key[..., part]) * HEAD_WIDTH**-0.5)
            seen[..., part] = (weights / weights.sum(axis=2, keepdims=True)) @ v[..., part]
        x = x + seen @ block["0.fn.fn.to_out.0.weight"].T + block["0.fn.fn.to_out.0.bias"]
        y = _normed(x, block, "1.fn.norm") @ block["1.fn.fn.net.0.weight"].T + block["1.fn.fn.net.0.bias"]
        y = 0.5 * y * (1 + np.tanh(np.sqrt(2 / np.pi) * (y + 0.044715 * y**3)))
        x = x + y @ block["1.fn.fn.net.3.weight"].T + block["1.fn.fn.net.3.bias"]
    return x[:, 0]


def _normed(x: np.ndarray, block: dict[str, np.ndarray], name: str) -> np.ndarray:
    x = x - x.mean(axis=-1, keepdims=True)
    deviation = np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + 1e-5)
    return x / deviation * block[f"{name}.weight"] + block[f"{name}.bias"]


def see(pixels: np.ndarray) -> np.ndarray:
    """(n, L) of pixels (n, 64, 64, 3) uint8 with CLIP's mean and deviation, by open_clip in float64."""
    mean, std = np.array([0.48145466, 0.4578275, 0.40821073]), np.array([0.26862954, 0.26130258, 0.27577711])
    planes = torch.from_numpy(((pixels / 255 - mean) / std).transpose(0, 3, 1, 2).copy())
    with torch.inference_mode():
        return tiny_openai().double().encode_image(planes).numpy()


__all__ = ["TINY", "clips_by_hand", "see", "tensors", "tiny_openai", "write_emoclip"]
