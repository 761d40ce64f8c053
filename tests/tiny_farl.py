"""A FaRL with random weights, in the format of the published files."""

from pathlib import Path

import open_clip
import torch

TINY = {
    "embed_dim": 16,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 64, "patch_size": 32, "width": 64, "layers": 2},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2},
}
MASKED = {
    "visual.mask_token": (64,),
    "visual.ln_lm.weight": (64,),
    "visual.lm_transformer.resblocks.0.mlp.c_fc.weight": (256, 64),
    "visual.lm_head.weight": (8192, 64),
}


def tiny_clip() -> open_clip.CLIP:
    """Its CLIP, whose activations matter as in a trained model."""
    torch.manual_seed(5)
    made = open_clip.CLIP(**TINY).eval()
    with torch.no_grad():
        for name, value in made.named_parameters():
            if "c_proj.weight" in name:
                value *= 20
    return made


def write_farl(clip: open_clip.CLIP, file: Path, prefix: str = "", half: bool = False, **changes) -> None:
    """Write it among the head of its masked pictures; tensors may be added, changed or left out (None)."""
    tensors = dict(clip.state_dict()) | {name: torch.ones(shape) for name, shape in MASKED.items()} | changes
    tensors = {f"{prefix}{name}": value for name, value in tensors.items() if value is not None}
    tensors = {name: value.half() if half else value for name, value in tensors.items()}
    torch.save({"state_dict": tensors, "epoch": 16}, file)
