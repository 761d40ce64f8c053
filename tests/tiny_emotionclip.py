"""An EmotionCLIP with random weights in the form of the published file, and the whole model, plainly in float64."""

import copy
from pathlib import Path

import numpy as np
import open_clip
import torch
from torch import nn

TINY = {
    "embed_dim": 16,
    "quick_gelu": False,
    "vision_cfg": {"image_size": 64, "patch_size": 32, "width": 64, "layers": 2},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2},
}
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def tiny_clip(**changes) -> open_clip.CLIP:
    """A CLIP whose activations matter as in a trained model."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        made = open_clip.CLIP(**TINY | changes).eval()
        with torch.no_grad():
            for name, value in made.named_parameters():
                if "c_proj.weight" in name:
                    value *= 20
                if "positional_embedding" in name or "token_embedding" in name:
                    value.normal_()
    return made


def tiny_head(layers: int = 1, width: int = 16, hidden: int = 48) -> nn.TransformerEncoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(8)
        layer = nn.TransformerEncoderLayer(width, 8, hidden, activation="gelu", batch_first=True)
        made = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)
        for value in made.parameters():  # a copy of one layer in each place, and norms that change nothing
            nn.init.normal_(value, std=0.3)
    return made.eval()


def positions(width: int = 16) -> torch.Tensor:
    return torch.randn(8, width, generator=torch.Generator().manual_seed(9))


def tensors(clip: open_clip.CLIP, head: nn.TransformerEncoder, **changes: torch.Tensor | None) -> dict:
    """The state dict of the whole; tensors may be added, changed or left out (None)."""
    every = {f"backbone.{name}": value for name, value in clip.state_dict().items()}
    every |= {"logit_scale": every["backbone.logit_scale"], "visual_head.position_ids": torch.arange(8)}
    every |= {"visual_head.frame_position_embedding.weight": positions()}
    every |= {f"visual_head.fusion_layer.{name}": value for name, value in head.state_dict().items()}
    return {name: value for name, value in (every | changes).items() if value is not None}


def write_emotionclip(file: Path, state: dict, **beside) -> Path:
    """Write the checkpoint of a training."""
    weight = nn.Parameter(torch.ones(3))
    weight.grad = torch.ones(3)
    optimizer = torch.optim.AdamW([weight])
    optimizer.step()
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [1, 2])
    states = {
        "optimizer": optimizer.state_dict(),
        "lr_scheduler": schedule.state_dict(),
        "grad_scaler": {"scale": 1.0},
    }
    torch.save(
        {"args": {"video_len": 8, "lr": np.float64(1e-5)}, "epoch": 3, "model": state, **states, **beside}, file
    )
    return file


def frames_by_hand(clip: open_clip.CLIP, pixels: np.ndarray, share: float = 1.0) -> torch.Tensor:
    """(n, L) float64 of pixels (n, 64, 64, 3) uint8: every layer written out, with one more token at the end."""
    state = {name: value.double() for name, value in clip.visual.state_dict().items()}
    planes = torch.from_numpy(((pixels / 255 - MEAN) / STD).transpose(0, 3, 1, 2).copy())
    grid = planes.unfold(2, 32, 32).unfold(3, 32, 32)  # (n, 3, 2, 2, 32, 32)
    patches = torch.einsum("ncghij,wcij->nghw", grid, state["conv1.weight"]).flatten(1, 2)
    first = state["class_embedding"].expand(len(patches), 1, -1)
    x = torch.cat([first, patches], dim=1) + state["positional_embedding"]
    mask = torch.full((64, 64), share, dtype=torch.float64).unfold(0, 32, 32).unfold(1, 32, 32).mean(dim=(2, 3))
    person = (mask.flatten()[:, None] * state["positional_embedding"][1:]).sum(dim=0)
    x = _normed(state, "ln_pre", torch.cat([x, person.expand(len(x), 1, -1)], dim=1))
    for k in range(2):
        block = f"transformer.resblocks.{k}."
        y = _normed(state, f"{block}ln_1", x)
        q, key, v = (y @ state[f"{block}attn.in_proj_weight"].T + state[f"{block}attn.in_proj_bias"]).chunk(3, dim=2)
        seen = torch.softmax(q @ key.transpose(1, 2) / 8, dim=2) @ v  # one head of 64
        x = x + _layer(state, f"{block}attn.out_proj", seen)
        y = _layer(state, f"{block}mlp.c_fc", _normed(state, f"{block}ln_2", x))
        x = x + _layer(state, f"{block}mlp.c_proj", y * (1 + torch.erf(y / 2**0.5)) / 2)
    return _normed(state, "ln_post", x[:, 0]) @ state["proj"]


def _layer(state, name: str, x: torch.Tensor) -> torch.Tensor:
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def _normed(state, name: str, x: torch.Tensor) -> torch.Tensor:
    x = x - x.mean(dim=-1, keepdim=True)
    return x / (x.square().mean(dim=-1, keepdim=True) + 1e-5).sqrt() * state[f"{name}.weight"] + state[f"{name}.bias"]


def clip_by_hand(clip: open_clip.CLIP, head: nn.TransformerEncoder, pixels: np.ndarray) -> np.ndarray:
    """(L,) of the pixels (8, 64, 64, 3) of one clip, by the whole model."""
    with torch.inference_mode():
        return head_by_hand(head, frames_by_hand(clip, pixels)[None].numpy())[0]


@torch.inference_mode()
def head_by_hand(head: nn.TransformerEncoder, frames: np.ndarray) -> np.ndarray:
    """(n, L) float64 of frames (n, 8, L), by torch's own module."""
    x = torch.from_numpy(frames)
    double = copy.deepcopy(head).double()
    return (double(x + positions().double()) + x).mean(dim=1).numpy()
